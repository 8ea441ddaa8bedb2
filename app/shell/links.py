"""Links into the window: copied from the page in view, pasted into the palette, and received from other programs.

A second `terrarium open LINK` hands its link to the window that is open on the same library, through a local socket
that only the same user can reach.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot
from PySide6.QtGui import QGuiApplication
from PySide6.QtNetwork import QLocalServer, QLocalSocket

from terrarium.app.help.palette import PaletteEntry
from terrarium.app.session.routes import Linked, read_link, write_link
from terrarium.app.shell.navigator import Navigator
from terrarium.app.worker.notices import Notices

_LONGEST = 8000
"""Bytes that are read from another program."""
_TIMEOUT_MS = 1000


class Links:
    """Writes and follows links.

    Args:
        raise_window: shows the window in front of others.
    """

    def __init__(self, navigator: Navigator, notices: Notices, raise_window: Callable[[], object]) -> None:
        self._navigator, self._notices, self._raise = navigator, notices, raise_window

    def copy(self) -> None:
        """Copy a link to the page in view."""
        link = write_link(self._navigator.here())
        QGuiApplication.clipboard().setText(link)
        self._notices.say(f"Copied: {link}")

    @Slot(str)
    def open(self, text: str) -> None:
        """Raise the window, and follow a link, or say what is wrong with it."""
        self._raise()
        try:
            self._navigator.follow(read_link(text))
        except ValueError as error:
            self._notices.say(str(error))

    def entry(self, typed: str) -> PaletteEntry | None:
        """Return the entry of the palette for a link that was typed or pasted there; None for other texts."""
        try:
            link = write_link(read_link(typed)) if "://" in typed else ""
        except ValueError as error:
            return PaletteEntry(key="", title=str(error), do=lambda: None, where="Link")
        return PaletteEntry(key="", title=f"Open {link}", do=partial(self.open, link), where="Link") if link else None


class LinkServer(QObject):
    """Receives links from other programs of this user.

    Signals:
        received(text): a link, which is not checked yet.
    """

    received = Signal(str)

    def __init__(self, home: Path, parent: QObject) -> None:
        super().__init__(parent)
        self._server = QLocalServer(self)
        self._server.setSocketOptions(QLocalServer.SocketOption.UserAccessOption)
        self._server.newConnection.connect(self._on_connection)
        name = _server_name(home)
        if not self._server.listen(name) and not _is_served(name):
            QLocalServer.removeServer(name)  # left behind by a program that was killed
            self._server.listen(name)

    @Slot()
    def _on_connection(self) -> None:
        socket = self._server.nextPendingConnection()
        socket.disconnected.connect(socket.deleteLater)
        socket.readyRead.connect(partial(self._on_ready, socket))

    def _on_ready(self, socket: QLocalSocket) -> None:
        if socket.canReadLine():
            self.received.emit(bytes(socket.readLine(_LONGEST).data()).decode("utf-8", "replace").strip())
            socket.disconnectFromServer()
        elif socket.bytesAvailable() > _LONGEST:
            socket.abort()

    def close(self) -> None:
        """Stop listening."""
        self._server.close()


def hand_over(route: Linked, home: Path) -> bool:
    """Hand a route to the window that is open on a library, and return whether there is one."""
    socket = QLocalSocket()
    socket.connectToServer(_server_name(home))
    if not socket.waitForConnected(_TIMEOUT_MS):
        return False
    socket.write(f"{write_link(route)}\n".encode())
    sent = socket.waitForBytesWritten(_TIMEOUT_MS)
    if socket.state() != QLocalSocket.LocalSocketState.UnconnectedState:
        socket.waitForDisconnected(_TIMEOUT_MS)
    return sent


def _is_served(name: str) -> bool:
    socket = QLocalSocket()
    socket.connectToServer(name)
    return socket.waitForConnected(_TIMEOUT_MS)


def _server_name(home: Path) -> str:
    """Return the name of the socket of a library: Unix limits the length of its path."""
    return f"terrarium-{hashlib.sha256(str(home.resolve()).encode()).hexdigest()[:16]}"
