"""The endpoint's address: a socket that only this computer can reach."""

from __future__ import annotations

import errno
import socket
import sys

HOST = "127.0.0.1"
DEFAULT_PORT = 8765


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
