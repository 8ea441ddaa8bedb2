"""A family of stages in the training tab."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pytestqt.qtbot import QtBot

from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.lineage.lineage_view import LineageView
from terrarium.app.run_views.shown_run import ShownRun
from terrarium.app.session.run_history import RunHistory
from terrarium.app.session.session import Session
from terrarium.app.training.training_tab import TrainingTab
from terrarium.models.library.library import Library
from tests.app.heard import Until
from tests.app.leading import FewTabs
from tests.stages_on_disk import put_family


@pytest.fixture
def family(session: Session) -> Library:
    put_family(session.library)
    return session.library


@pytest.fixture
def tab(family: Library, session: Session, theme: ThemeProvider, qtbot: QtBot) -> TrainingTab:
    tab = TrainingTab(session, theme)
    FewTabs(session, training=tab)
    qtbot.addWidget(tab)
    tab.resize(1300, 800)
    tab.show()
    tab.runs.reload()
    return tab


@pytest.fixture
def in_tab(tab: TrainingTab, until: Until) -> Callable[[str], LineageView]:
    """Shows the lineage of a run in the training tab, and returns that view."""

    def show(run_id: str) -> LineageView:
        tab.show_run(run_id)
        tab.run_view.views.show_view("lineage")
        view: LineageView = tab.run_view.views.view("lineage")
        until(lambda: not view.busy and run_id in view.stages.cards)
        return view

    return show


@pytest.fixture
def lineage(
    family: Library, session: Session, theme: ThemeProvider, qtbot: QtBot, until: Until
) -> Callable[[str], LineageView]:
    """Shows the lineage of a run, and returns the view, which stands alone."""
    view = LineageView(session, theme)
    qtbot.addWidget(view)
    view.resize(1000, 640)
    view.show()

    def show(run_id: str) -> LineageView:
        folder = family.runs / run_id
        view.show_run(ShownRun(id=run_id, name=run_id, folder=folder, spec=None, history=RunHistory()))
        until(lambda: not view.busy and run_id in view.stages.cards)
        return view

    return show
