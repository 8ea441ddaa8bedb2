"""The list of models to talk to says which weights answer."""

from __future__ import annotations

import dataclasses

import pytest
from pytestqt.qtbot import QtBot

from terrarium.app.chat.model_bar import ModelBar, ModelPicker
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.chat_model import LIVE
from terrarium.app.session.session import Session
from terrarium.app.session.training_state import TrainingState
from terrarium.models.library.library import Library
from terrarium.models.library.run_record import inspect_run
from terrarium.models.settings.model_config import ModelConfig
from tests.app.chat.chat_actor import TALKER
from tests.runs_on_disk import make_run


def test_steps_are_those_of_the_weights(qtbot: QtBot, library: Library, tiny_config: ModelConfig) -> None:
    picker = ModelPicker()
    qtbot.addWidget(picker)
    runs = [
        inspect_run(make_run(library, tiny_config, name, status=status, losses=(3.0, 2.0, 1.0)))
        for name, status in (("whole", "finished"), ("died", "running"))
    ]
    picker.set_choices(runs, "", "", None)
    assert [picker.itemText(i) for i in range(2)] == ["whole, step 3", "died, interrupted"]
    assert picker.currentIndex() == -1
    picker.set_choices(runs, "", "whole", 2)
    assert picker.currentText() == "whole, step 2"
    picker.set_choices(runs, "now", "died", 1)
    assert (picker.itemText(0), picker.currentText()) == ("now, in training now", "died, step 1")
    assert picker.newest == (runs[0].id, "whole, step 3")
    picker.set_choices([], "now", "", None)
    assert picker.newest == (LIVE, "now, in training now"), "there is no run yet"
    picker.set_choices([], "", "", None)
    assert picker.newest == ("", "")


def test_the_open_run_is_shown_while_its_training_is_not_over(
    qtbot: QtBot, session: Session, theme: ThemeProvider, tiny_config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = inspect_run(make_run(session.library, tiny_config, "my code", status="finished", losses=(3.0, 2.0)))
    state = TrainingState(name="my code", run_id=info.id, step=2)
    monkeypatch.setattr(session.training, "state", state)
    monkeypatch.setattr(type(session.training), "active", property(lambda _: True))
    bar = ModelBar(session, theme)
    qtbot.addWidget(bar)
    session.chat.model = dataclasses.replace(TALKER, which=LIVE, run_id=info.id, step=2)
    session.chat.model_changed.emit()
    assert bar.picker.currentText() == "my code, in training now"
    session.chat.model = dataclasses.replace(TALKER, which=info.id, run_id=info.id, step=2)  # it ended by itself
    session.chat.model_changed.emit()
    assert bar.picker.currentText() == "my code, step 2"
