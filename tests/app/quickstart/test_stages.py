"""Which stage of a quick start is shown."""

from __future__ import annotations

import dataclasses

import pytest
from pytestqt.qtbot import QtBot

from app.kit.theme import ThemeProvider
from app.quickstart.view import STAGES, QuickStartView, stage_of
from app.session.session import Session
from app.session.training_state import TrainingState


@pytest.mark.parametrize(
    ("phases", "stage"),
    [
        (("Preparing the text",), "Data"),
        (("Preparing the text", "Training the tokenizer"), "Tokenizer"),
        (("Preparing the text", "Training the tokenizer", "Measuring this device"), "Training"),
    ],
)
def test_the_stage_is_that_of_what_is_done_now(phases: tuple[str, ...], stage: str) -> None:
    assert STAGES[stage_of(TrainingState(name="grown", phases=phases, phase=phases[-1]))] == stage


def test_what_was_stopped_was_not_evaluated(
    session: Session, theme: ThemeProvider, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = QuickStartView(session, theme)
    qtbot.addWidget(view)
    stopped = TrainingState(name="grown", status="stopped", over=True, run_id="r", quickstart=True)
    for state, done in (
        (stopped, ("Data", "Tokenizer", "Training")),
        (dataclasses.replace(stopped, status="finished"), STAGES[:-1]),
    ):
        monkeypatch.setattr(session.training, "state", state)
        session.training.changed.emit()
        assert view.stepper.done == done
        assert ("Evaluation was left out" in view.stepper.accessibleName()) is (state is stopped)
