"""The HTTP server between a socket and the endpoint."""

from __future__ import annotations

import socket
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp


class HttpServer(uvicorn.Server):
    """Answers at a socket until it is told to stop. `before_end` is called first then, and has answers end soon."""

    def __init__(self, app: ASGIApp, before_end: Callable[[], object]) -> None:
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
        self._before_end = before_end

    def answer_at(self, bound: socket.socket) -> None:
        """Answer until `stop`, or Ctrl-C on the main thread; then the socket is closed."""
        self.run(sockets=[bound])

    def stop(self) -> None:
        """Any thread: end soon."""
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._before_end()
        await super().shutdown(sockets)
