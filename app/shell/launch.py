"""Opening the window: the application, remembered settings, and startup and shutdown."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Sequence
from types import TracebackType

from PySide6.QtWidgets import QApplication

from app.kit.theme import MODES, ThemeProvider
from app.session.session import Session
from app.shell.main_window import MainWindow
from app.worker.failures import describe
from models.library.library import Library

log = logging.getLogger(__name__)


def run(argv: Sequence[str] | None = None) -> int:
    """Open the window and return the exit code when it is closed."""
    app = QApplication.instance() or QApplication(list(argv or sys.argv[:1]))
    assert isinstance(app, QApplication)
    app.setApplicationName("Terrarium")
    app.setDesktopFileName("terrarium")
    session = Session(Library())
    mode = session.remembered.get("theme", "system")
    theme = ThemeProvider(app, mode if mode in MODES else "system", session.remembered.get("text scale", 1.0))
    window = MainWindow(session, theme)

    def report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        failure = describe(error)
        log.critical("In the window: %s", failure.details)
        session.notices.fail(failure)

    sys.excepthook = report

    def after_first_paint() -> None:
        session.start()
        window.reopen_chat()
        window.show_last_tab()
        window.offer_interrupted()
        window.pages.make_all()

    window.painted.connect(after_first_paint)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: window.quit())
    window.show()
    return app.exec()
