"""Keeps web pages out: a page from elsewhere must not reach this machine's endpoint through the user's browser.

A page can have its own name point to 127.0.0.1 (DNS rebinding), which the Host header shows, and can post here blindly,
which the Origin header shows. No answer allows a page to read it (there are no CORS headers).
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from app.serve.endpoint.errors import ApiError

_HERE = {"127.0.0.1", "localhost", "::1"}


class Guard:
    """Lets only requests through that name this machine, and come from no page of another one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        if _host_of(f"//{host}") not in _HERE:
            error = ApiError(403, "The Host header must name this computer: use 127.0.0.1 or localhost.")
        elif origin is not None and _host_of(origin) not in _HERE:
            error = ApiError(403, "Web pages from elsewhere are not answered.")
        else:
            await self._app(scope, receive, send)
            return
        await JSONResponse(error.body, error.status)(scope, receive, send)


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
