"""The address of the endpoint: a socket that only this computer reaches."""

from __future__ import annotations

import errno
import socket
import sys

HOST = "127.0.0.1"
DEFAULT_PORT = 8765


def bind(port: int) -> socket.socket:
    """A socket on 127.0.0.1, which no other machine can reach; port 0 takes any that is free.

    Raises:
        ValueError: where the port is taken, not allowed or none.
    """
    if not 0 <= port <= 65535:
        raise ValueError(f"{port} is no port: choose a number between 0 (any that is free) and 65535.")
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if sys.platform == "win32":
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # else it stays taken for a while after use
        bound.bind((HOST, port))
        bound.listen()
    except OSError as error:
        bound.close()
        if error.errno == errno.EADDRINUSE:
            raise ValueError(
                f"Port {port} is taken by another program: choose another one, or stop that program."
            ) from error
        reason = error.strerror or str(error)
        raise ValueError(f"Port {port} cannot be used here ({reason}): choose one from 1024 on.") from error
    return bound


def url_of(bound: socket.socket) -> str:
    """What clients call the base URL."""
    return f"http://{HOST}:{bound.getsockname()[1]}/v1"
