"""Opens the window: the application, remembered settings, startup and shutdown."""

from __future__ import annotations

import ctypes
import logging
import math
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from PySide6.QtCore import QEvent, QLibraryInfo, QObject, QSocketNotifier, Signal, Slot
from PySide6.QtGui import QFileOpenEvent
from PySide6.QtWidgets import QApplication

from terrarium.app.kit.theme import MODES, ThemeProvider
from terrarium.app.session.remembered import EVERYTHING, SIMPLE
from terrarium.app.session.routes import SCHEME, Linked
from terrarium.app.session.session import Session
from terrarium.app.shell.links import LinkServer
from terrarium.app.shell.main_window import MainWindow
from terrarium.app.shell.window_place import fit_screen, restore_place
from terrarium.app.worker.failures import describe
from terrarium.app.worker.notices import Notices
from terrarium.models.design.custom import only_known
from terrarium.models.library.library import Library, find_location

log = logging.getLogger(__name__)

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts(QObject):
    """Turns SIGINT and SIGTERM into a Qt signal, which the event loop delivers.

    Python runs signal handlers between any two bytecode instructions, also in the middle of closing the window or while
    a lock is held. So the handlers do nothing; instead the interpreter writes the number of each signal to a socket.

    Signals:
        requested(): the program is asked to quit.
    """

    requested = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._receiver, self._sender = socket.socketpair()
        for end in (self._receiver, self._sender):
            end.setblocking(False)
        self._notifier = QSocketNotifier(self._receiver.fileno(), QSocketNotifier.Type.Read, self)
        self._notifier.activated.connect(self._on_received)
        self._handlers = {number: signal.signal(number, lambda *_: None) for number in _SIGNALS}
        self._before = signal.set_wakeup_fd(self._sender.fileno(), warn_on_full_buffer=False)

    @Slot()
    def _on_received(self) -> None:
        if not set(_SIGNALS).isdisjoint(self._receiver.recv(1024)):
            self.requested.emit()

    def close(self) -> None:
        """Restore the previous signal handlers."""
        signal.set_wakeup_fd(self._before)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._notifier.setEnabled(False)
        self._receiver.close()
        self._sender.close()


_QUIET_S = 60.0
"""Seconds without a failure after which the same failure is reported again."""


class FailureReport:
    """Logs and shows failures in the window; a repeated failure, as at each repaint, is reported only once."""

    def __init__(self, notices: Notices, clock: Callable[[], float] = time.monotonic) -> None:
        self._notices, self._clock = notices, clock
        self._last: dict[str, float] = {}

    def __call__(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        failure, now = describe(error), self._clock()
        is_repeated = now - self._last.get(failure.details, -math.inf) < _QUIET_S
        self._last[failure.details] = now
        if not is_repeated:
            log.critical("In the window: %s", failure.details)
            self._notices.fail(failure)


def choose_detail(session: Session) -> None:
    """Choose the detail level at the first launch: simple for newcomers, everything if the library already has runs."""
    if not session.detail.is_chosen:
        session.detail.choose(EVERYTHING if session.runs.has_any else SIMPLE)


class Application(QApplication):
    """The application, which on macOS receives the files and links that the user opens with it.

    Signals:
        file_opened(path), link_opened(link): the user opened this with the program.
    """

    file_opened = Signal(str)
    link_opened = Signal(str)

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QFileOpenEvent) and event.url().scheme() == SCHEME:
            self.link_opened.emit(event.url().toString())
            return True
        if isinstance(event, QFileOpenEvent) and event.file():
            self.file_opened.emit(event.file())
            return True
        return super().event(event)


def check_display(platform: str, environment: Mapping[str, str], plugins: Path) -> None:
    """Check that Qt can open a window on X11: with a library missing, Qt would abort the process.

    Args:
        platform: sys.platform. plugins: the folder of Qt's plugins.

    Raises:
        ValueError: naming the library, and the command that installs it on Debian and Ubuntu.
    """
    chosen = environment.get("QT_QPA_PLATFORM", "" if environment.get("WAYLAND_DISPLAY") else "xcb")
    if platform != "linux" or not chosen.startswith("xcb") or not environment.get("DISPLAY"):
        return
    try:
        ctypes.CDLL(str(plugins / "platforms" / "libqxcb.so"))
    except OSError as error:
        library = str(error).partition(":")[0]
        name, _, version = library.lower().partition(".so.")
        package = f"{name}{'-' if name[-1:].isdigit() else ''}{version.partition('.')[0]}"
        raise ValueError(
            f"The window cannot open, because the system library {library} is missing. On Debian and Ubuntu, install "
            f"it with: sudo apt install {package}"
        ) from error


def run(argv: Sequence[str] | None = None, files: Sequence[Path] = (), route: Linked | None = None) -> int:
    """Open the window, import the runs in `files` (.terrarium), follow `route`; return the exit code when it closes."""
    check_display(sys.platform, os.environ, Path(QLibraryInfo.path(QLibraryInfo.LibraryPath.PluginsPath)))
    app = QApplication.instance() or Application(list(argv or sys.argv[:1]))
    assert isinstance(app, QApplication)
    app.setApplicationName("Terrarium")
    app.setDesktopFileName("terrarium")
    session = Session(Library())
    choose_detail(session)
    mode = session.remembered.get("theme", "system")
    theme = ThemeProvider(app, mode if mode in MODES else "system", session.remembered.get("text scale", 1.0))
    window = MainWindow(session, theme)
    restore_place(window, session.remembered)

    sys.excepthook = FailureReport(session.notices)

    def after_first_paint() -> None:
        fit_screen(window)
        session.start()
        session.trash.clear_expired()
        problem = find_location().problem
        if problem:
            session.notices.say(problem)
        window.relaunch.prepare()
        window.imports.open_files(files)
        if route is not None:
            session.go(route)

    window.painted.connect(after_first_paint)
    if isinstance(app, Application):
        app.file_opened.connect(lambda path: window.imports.open_files([Path(path)]))
        app.link_opened.connect(window.links.open)
    server = LinkServer(session.library.home, window)
    server.received.connect(window.links.open)
    interrupts = Interrupts(window)
    interrupts.requested.connect(window.quit)
    window.show()
    try:
        with only_known():  # no custom block runs on the window's thread: see app.session.blocks
            return app.exec()
    finally:
        server.close()
        interrupts.close()
