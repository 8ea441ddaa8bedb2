"""What the training tab shows of a run that has learned from rewards."""

from __future__ import annotations

import shutil
from pathlib import Path
from unittest.mock import MagicMock

import pytest
from pytestqt.qtbot import QtBot

from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.run.run_view import RunView
from terrarium.app.session.session import Session
from terrarium.models.library.library import Library
from tests.app.leading import FewTabs


@pytest.fixture
def library(rewarded_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Library:
    """A copy of that library, which is also the default one while the test runs."""
    shutil.copytree(rewarded_home, tmp_path / "home")
    monkeypatch.setenv("TERRARIUM_HOME", str(tmp_path / "home"))
    return Library()


@pytest.fixture
def run_view(session: Session, theme: ThemeProvider, qtbot: QtBot) -> RunView:
    view = RunView(session, theme)
    tab = MagicMock(run_view=view)
    tab.fork.side_effect = lambda run_id, step, changes: view.ask_for_fork(step, changes)
    FewTabs(session, training=tab)
    qtbot.addWidget(view)
    view.resize(1000, 690)
    view.show()
    return view


@pytest.fixture
def run_id(session: Session) -> str:
    """The id of the run “aligned”."""
    return next(info.id for info in session.runs.list() if info.name == "aligned")
