"""The buttons of the doctor's cards, of alignments: each begins what it says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.run.fork_dialog import ForkDialog
from terrarium.app.run.run_view import RunView
from terrarium.app.run_views.diagnosis.diagnosis_view import DoctorView
from terrarium.app.session.session import Session
from terrarium.models.events import result_of
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.run_spec import RunSpec
from terrarium.models.settings.spec_changes import value_of
from terrarium.models.training.prepare import prepare_run
from tests.app.heard import Heard, Until
from tests.models.diagnosis.align_suite import AlignRecipe, faulty, make_library, train_align

NAMES = ("cut short", "letters pay", "refuses everything")
"""With a remedy that changes the alignment, a fork, and one that changes the fine-tuning."""


@pytest.fixture
def run_view(session: Session, theme: ThemeProvider, qtbot: QtBot) -> RunView:
    view = RunView(session, theme)
    qtbot.addWidget(view)
    view.resize(1000, 620)
    view.show()
    return view


def train_faulty(library: Library) -> list[tuple[AlignRecipe, RunFolder]]:
    parent = make_library(library)
    recipes = [recipe for recipe in faulty() if recipe.name in NAMES]
    return [(recipe, train_align(recipe, library, parent)) for recipe in recipes]


def test_each_button_begins_what_it_says(
    run_view: RunView,
    session: Session,
    library: Library,
    heard: Heard,
    until: Until,
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[RunSpec] = []

    def start(spec: RunSpec) -> bool:
        started.append(spec)
        return True

    monkeypatch.setattr(session.training, "start", start)
    forks: list[tuple[int, Mapping[str, Any]]] = []
    view = run_view.views.view("doctor")
    assert isinstance(view, DoctorView)
    for recipe, run in train_faulty(library):
        session.runs.changed.emit()
        run_view.show_run(run.id)
        assert not view.cards, "those of the run before are gone at once"
        until(lambda: run_view.follower.is_loaded)
        run_view.views.show_view("doctor")
        until(lambda: set(recipe.found) <= set(view.cards))  # noqa: B023
        for card in view.cards.values():
            remedy = card.diagnosis.remedy if card.diagnosis is not None else None
            assert card.remedy.isVisibleTo(card) == (remedy is not None)
            if remedy is None:
                continue
            assert card.remedy.text() == remedy.words
            qtbot.mouseClick(card.remedy, Qt.MouseButton.LeftButton)
            if remedy.fork_step is None:
                assert {name: value_of(started[-1], name) for name in remedy.changes} == dict(remedy.changes)
                assert started[-1].align == run.spec.align or any(name.startswith("align.") for name in remedy.changes)
                continue
            open_now = [each for each in QApplication.topLevelWidgets() if each.isVisible()]
            dialog = next(each for each in open_now if isinstance(each, ForkDialog))
            assert dialog.checkpoint.currentData() == remedy.fork_step
            assert all(getattr(dialog.form.config, name[6:]) == value for name, value in remedy.changes.items())
            assert not dialog.problem
            forks.append((remedy.fork_step, remedy.changes))
            dialog.reject()
    assert len(started) >= 2
    for spec in started:
        assert result_of(prepare_run(library, spec)).spec.name == spec.name
    assert forks, "of a run with checkpoints"
    assert not heard.failures
