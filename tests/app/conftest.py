"""Fixtures for the window's tests: Qt without a screen, a library of its own, and nothing left behind."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import pytest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.session import Session
from app.theme import ThemeProvider
from app.worker import Worker
from models.library import Library


@pytest.fixture
def library(tmp_path: Path) -> Library:
    """An empty library."""
    return Library(tmp_path / "home")


@pytest.fixture
def theme(qapp: QApplication) -> Iterator[ThemeProvider]:
    """The light theme, applied to the application, and taken off again."""
    size = qapp.font().pointSizeF()
    provider = ThemeProvider(qapp, "light")
    yield provider
    qapp.setStyleSheet("")
    font = qapp.font()
    font.setPointSizeF(size)
    qapp.setFont(font)
    provider.deleteLater()


@pytest.fixture
def worker(qapp: QApplication) -> Iterator[Worker]:
    """A running worker, which has ended when the test has."""
    worker = Worker()
    worker.start()
    yield worker
    worker.close()
    assert worker.isFinished()


@pytest.fixture
def session(qapp: QApplication, library: Library) -> Iterator[Session]:
    """A session over an empty library, whose worker runs but has not loaded torch."""
    session = Session(library)
    session.start(warm_up=False)
    yield session
    session.close()
    assert session.worker.isFinished()


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail where a test leaves a visible top-level widget behind."""
    yield
    app = QApplication.instance()
    if isinstance(app, QApplication):
        left = [widget for widget in app.topLevelWidgets() if widget.isVisible()]
        for widget in left:
            widget.close()
        assert not left, f"left behind: {left}"


@pytest.fixture
def until(qtbot: QtBot) -> Callable[[Callable[[], bool]], None]:
    """Process events until a condition holds (at most 20 s)."""

    def wait(condition: Callable[[], bool]) -> None:
        qtbot.waitUntil(lambda: bool(condition()), timeout=20_000)

    return wait
