"""The HTTP server between a socket that only this computer can reach, and the endpoint."""

from __future__ import annotations

import asyncio
import errno
import socket
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 10.0
"""The timeout in seconds for receiving the head of a request, counted from the connection or the first byte."""
HOST = "127.0.0.1"
DEFAULT_PORT = 8765


class HttpServer(uvicorn.Server):
    """Serves on a socket until `stop`; then it first calls `on_shutdown`, to end open answers.

    Connections on which no request head has arrived after `head_seconds` are closed.
    """

    def __init__(self, app: ASGIApp, on_shutdown: Callable[[], object], head_seconds: float = HEAD_SECONDS) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                loop="asyncio",
                http=partial(_Connection, head_seconds=head_seconds),  # type: ignore[arg-type]  # it is called only
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=1,
            )
        )
        self._on_shutdown = on_shutdown

    def serve_on(self, bound: socket.socket) -> None:
        """Serve until `stop`, or Ctrl-C on the main thread; then close the socket."""
        self.run(sockets=[bound])

    def stop(self) -> None:
        """Stop the server soon. Thread-safe."""
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._on_shutdown()
        await super().shutdown(sockets)


class _Connection(H11Protocol):
    """Closes itself if the head of a request takes too long; uvicorn only limits the pause between two requests."""

    def __init__(self, *args: Any, head_seconds: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_seconds = head_seconds
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch()
        super().connection_lost(exc)

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _watch(self) -> None:
        if self._is_answering:
            self._unwatch()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(self._head_seconds, self._give_up)

    def _unwatch(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        if not self._is_answering:
            self.transport.close()


def bind(port: int) -> socket.socket:
    """Return a listening socket on 127.0.0.1, which no other computer can reach; port 0 takes any free port.

    Raises:
        ValueError: if the port is taken, not allowed or out of range.
    """
    if not 0 <= port <= 65535:
        raise ValueError(f"{port} is not a port: choose a number from 0 (any free port) to 65535.")
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if sys.platform == "win32":
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            # Otherwise the port stays reserved for a while after use.
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((HOST, port))
        bound.listen()
    except OSError as error:
        bound.close()
        if error.errno == errno.EADDRINUSE:
            raise ValueError(
                f"Port {port} is taken by another program: choose another port or stop that program."
            ) from error
        reason = error.strerror or str(error)
        raise ValueError(f"Port {port} cannot be used ({reason}): choose 1024 or higher.") from error
    return bound


def base_url(bound: socket.socket) -> str:
    """Return the base URL for clients."""
    return f"http://{HOST}:{bound.getsockname()[1]}/v1"
