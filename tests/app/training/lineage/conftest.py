"""A family of stages in the training tab."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pytestqt.qtbot import QtBot

from app.kit.theme import ThemeProvider
from app.session.session import Session
from app.training.lineage.view import LineageView
from app.training.tab import TrainingTab
from models.library.library import Library
from tests.app.heard import Until
from tests.stages_on_disk import put_family


@pytest.fixture
def family(session: Session) -> Library:
    put_family(session.library)
    return session.library


@pytest.fixture
def tab(family: Library, session: Session, theme: ThemeProvider, qtbot: QtBot) -> TrainingTab:
    tab = TrainingTab(session, theme)
    qtbot.addWidget(tab)
    tab.resize(1300, 800)
    tab.show()
    tab.runs.reload()
    return tab


@pytest.fixture
def lineage(tab: TrainingTab, until: Until) -> Callable[[str], LineageView]:
    """Shows the lineage of a run, and returns that view."""

    def show(run_id: str) -> LineageView:
        tab.show_run(run_id)
        tab.run_view.views.show_view("lineage")
        view: LineageView = tab.run_view.views.view("lineage")
        until(lambda: run_id in view.stages.cards)
        return view

    return show
