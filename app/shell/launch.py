"""Opening the window: the application, remembered settings, and startup and shutdown."""

from __future__ import annotations

import logging
import math
import signal
import sys
import time
from collections.abc import Callable, Sequence
from types import TracebackType

from PySide6.QtWidgets import QApplication

from app.kit.theme import MODES, ThemeProvider
from app.session.session import Session
from app.shell.main_window import MainWindow
from app.worker.failures import describe
from app.worker.notices import Notices
from models.library.library import Library

log = logging.getLogger(__name__)

_QUIET_S = 60.0
"""Seconds without a failure after which the same one is reported again."""


class FailureReport:
    """Logs and shows what fails in the window; a failure that repeats itself, as at each redrawing, only once."""

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

    sys.excepthook = FailureReport(session.notices)

    def after_first_paint() -> None:
        session.start()
        window.show_last_tab()
        window.offer_interrupted()
        window.pages.make_all()

    window.painted.connect(after_first_paint)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: window.quit())
    window.show()
    return app.exec()
