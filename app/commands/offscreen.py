"""An application object for commands that draw: without a screen, so that they run anywhere and nothing pops up."""

from __future__ import annotations

import os
import sys

from PySide6.QtWidgets import QApplication


def application() -> QApplication:
    """The one application object. Only Linux draws text without a screen: elsewhere that platform has no fonts."""
    running = QApplication.instance()
    if isinstance(running, QApplication):
        return running
    if sys.platform == "linux":
        os.environ["QT_QPA_PLATFORM"] = "offscreen"
    return QApplication(["terrarium"])
