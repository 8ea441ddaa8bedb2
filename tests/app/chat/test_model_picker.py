"""The list of models to talk to says which weights answer."""

from __future__ import annotations

from pytestqt.qtbot import QtBot

from app.chat.model_bar import ModelPicker
from models.library.library import Library
from models.library.run_record import inspect_run
from models.settings.model_config import ModelConfig
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
