"""The HTTP server between a socket and the endpoint."""

from __future__ import annotations

import socket
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp


class HttpServer(uvicorn.Server):
    """Serves on a socket until `stop`; `on_shutdown` is called first when it stops, to end open answers."""

    def __init__(self, app: ASGIApp, on_shutdown: Callable[[], object]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                loop="asyncio",
                http="h11",
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
        """Any thread: stop the server soon."""
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._on_shutdown()
        await super().shutdown(sockets)
