"""The endpoint as an ASGI application: what can be asked for, and what is refused before anything is made."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from app.serve.endpoint.activity import Activity
from app.serve.endpoint.answer import Answer
from app.serve.endpoint.engine import Engine, Served
from app.serve.endpoint.errors import ApiError, ModelGoneError, as_api_error
from app.serve.endpoint.orders import Order, chat_orders, completion_orders
from app.serve.endpoint.schemas import Asked, ChatAsked, CompletionAsked, read_body
from app.serve.endpoint.shapes import ChatShape, CompletionShape, Shape

MOST_BYTES = 4_000_000
"""Of a request: far more than any context here takes."""
MOST_OPEN = 64
"""Requests that may be answered or wait at the same time."""

_HANDLED = (ApiError, ModelGoneError, HTTPException, ClientDisconnect, Exception)

_KINDS = {"/v1/chat/completions": "chat", "/v1/completions": "completion"}
PATHS = ("/v1/models", *_KINDS)


_HERE = {"127.0.0.1", "localhost", "::1"}


def make_endpoint(engine: Engine, activity: Activity) -> ASGIApp:
    """The endpoint in front of `engine`."""

    async def models(request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [_model(engine.served)]})

    async def model(request: Request) -> Response:
        served = engine.served
        _check_name(request.path_params["name"], served)
        return JSONResponse(_model(served))

    async def chat(request: Request) -> ASGIApp:
        asked = read_body(await _body(request), ChatAsked)
        served = _ready(asked)
        orders = await run_in_threadpool(chat_orders, served, asked)
        shape = ChatShape(served.name, with_scores=asked.n_top is not None)
        return _answer(served, asked, orders, shape, kind="chat", n_prompt=len(orders[0].ids))

    async def completion(request: Request) -> ASGIApp:
        asked = read_body(await _body(request), CompletionAsked)
        served = _ready(asked)
        orders = await run_in_threadpool(completion_orders, served, asked)
        echoes = [order.echo for order in orders]
        shape = CompletionShape(served.name, with_scores=asked.n_top is not None, echoes=echoes)
        n_prompt = sum(len(order.ids) for order in orders[:: asked.n])
        return _answer(served, asked, orders, shape, kind="completion", n_prompt=n_prompt)

    def _ready(asked: Asked) -> Served:
        """The model, if it is the one that was asked for, and there is room in the line."""
        served = engine.served
        _check_name(asked.model, served)
        _check_room()
        return served

    def _check_room() -> None:
        if activity.n_open >= MOST_OPEN:
            sentence = f"{MOST_OPEN} requests wait already: try again when some are answered."
            raise ApiError(429, sentence, code="too_many_requests")

    def _answer(
        served: Served, asked: Asked, orders: list[Order], shape: Shape, *, kind: str, n_prompt: int
    ) -> ASGIApp:
        _check_room()  # others may have been read at the same time; from here on it is counted
        return Answer(
            engine,
            activity,
            served,
            shape,
            orders,
            kind=kind,
            n_prompt=n_prompt,
            stream=asked.stream,
            with_usage=asked.stream_options.include_usage,
        )

    async def refused(request: Request, error: Exception) -> Response:
        told = _told(request, error)
        activity.refuse(_KINDS.get(request.url.path, request.url.path), told.message)
        return JSONResponse(told.body, told.status)

    return Starlette(
        routes=[
            Route("/v1/models", models),
            Route("/v1/models/{name:path}", model),
            Route("/v1/chat/completions", chat, methods=["POST"]),
            Route("/v1/completions", completion, methods=["POST"]),
        ],
        middleware=[Middleware(Guard)],
        exception_handlers=dict.fromkeys(_HANDLED, refused),
    )


def _told(request: Request, error: Exception) -> ApiError:
    if isinstance(error, ClientDisconnect):
        return ApiError(400, "The client left before it had sent everything.")
    if not isinstance(error, HTTPException):
        return as_api_error(error)
    if error.status_code == 405:
        return ApiError(405, f"{request.url.path} cannot be asked by {request.method}.", code="method_not_allowed")
    sentence = f"There is no {request.url.path} here, only {', '.join(PATHS)}."
    return ApiError(error.status_code, sentence, code="unknown_url")


async def _body(request: Request) -> bytes:
    """All of it; ApiError 413 as soon as it is known to be too long."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > MOST_BYTES:
        raise _too_long()
    parts = bytearray()
    async for part in request.stream():
        parts += part
        if len(parts) > MOST_BYTES:
            raise _too_long()
    return bytes(parts)


def _too_long() -> ApiError:
    return ApiError(413, f"The request is longer than {MOST_BYTES:,} bytes.", code="request_too_large")


def _check_name(name: str, served: Served) -> None:
    if name not in (served.name, *served.other_names):
        sentence = f"There is no model “{name}” here; the one that is served is “{served.name}”."
        raise ApiError(404, sentence, param="model", code="model_not_found")


def _model(served: Served) -> dict[str, object]:
    return {
        "id": served.name,
        "object": "model",
        "created": served.created,
        "owned_by": "terrarium",
        "context_length": served.config.context_length,
    }


class Guard:
    """Keeps web pages out: lets only requests through that name this machine, and come from no page of another one.

    A page can have its own name point to 127.0.0.1 (DNS rebinding), which the Host header shows, and can post here
    blindly, which the Origin header shows. No answer allows a page to read it (there are no CORS headers).
    """

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
