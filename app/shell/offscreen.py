"""The application and its window for commands that render, offscreen, so that they run without a display."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication, QEvent
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication

from terrarium.models.library.library import Library

if TYPE_CHECKING:
    from terrarium.app.shell.main_window import MainWindow


def application() -> QApplication:
    """Return the application object. It is offscreen on Linux only: elsewhere Qt's offscreen platform has no fonts."""
    running = QApplication.instance()
    if isinstance(running, QApplication):
        return running
    if sys.platform == "linux":
        os.environ["QT_QPA_PLATFORM"] = "offscreen"
    return QApplication(["terrarium"])


@contextlib.contextmanager
def opened_window(library: Library, device: str = "") -> Iterator[MainWindow]:
    """Open the main window on a library, in light mode; on exit, close it and end all its threads.

    Args:
        device: the device of the models; with "", torch is not loaded until something needs it.
    """
    from terrarium.app.kit.theme import ThemeProvider
    from terrarium.app.session.session import Session
    from terrarium.app.shell.main_window import MainWindow

    theme = ThemeProvider(application(), "light")
    session = Session(library)
    window = MainWindow(session, theme)
    try:
        window.show()
        session.start(warm_up=bool(device))
        if device:
            session.device.choose(device)
        yield window
    finally:
        window.quit()
        # Without an event loop, deferred deletion must be sent. The theme stays: a change would restyle all widgets.
        window.deleteLater()
        QCoreApplication.sendPostedEvents(window, QEvent.Type.DeferredDelete.value)
        QGuiApplication.styleHints().unsetColorScheme()
