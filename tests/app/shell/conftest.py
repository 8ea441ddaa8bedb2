"""The window, shown over an empty library."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytestqt.qtbot import QtBot

from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.session import Session
from terrarium.app.shell.main_window import MainWindow


@pytest.fixture
def window(session: Session, theme: ThemeProvider, qtbot: QtBot) -> Iterator[MainWindow]:
    """The shown window over an empty library."""
    window = MainWindow(session, theme)
    qtbot.addWidget(window)
    window.show()
    qtbot.waitExposed(window)
    window.activateWindow()
    yield window
    window.close()
