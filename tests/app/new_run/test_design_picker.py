"""The choice of a design for a run: every preset of every family, with its size, and the user's own."""

from __future__ import annotations

import dataclasses

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel
from pytestqt.qtbot import QtBot

from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.new_run.design_picker import DesignPicker
from terrarium.app.session.session import Session
from terrarium.models.settings.presets import PRESETS


@pytest.fixture
def picker(qtbot: QtBot, session: Session, theme: ThemeProvider) -> DesignPicker:
    picker = DesignPicker(session, theme)
    qtbot.addWidget(picker)
    picker.show()
    return picker


def words(picker: DesignPicker) -> str:
    return " ".join(label.text() for label in picker.findChildren(QLabel))


def test_every_preset_can_be_chosen_and_says_its_size(picker: DesignPicker, session: Session) -> None:
    for name, config in PRESETS.items():
        index = picker.choice.findData(name)
        assert index >= 0, name
        picker.choice.setCurrentIndex(index)
        picker.choice.activated.emit(index)
        assert session.designs.current == config
        assert "·" in picker.choice.itemText(index)
    session.designs.choose("mixtral-8x7b")
    assert picker.choice.currentText() == "Mixtral 8×7B  ·  46.7 B"
    assert "TiB of memory" in words(picker) or "GiB of memory" in words(picker)
    session.designs.choose("gpt2-tiny")
    assert "of memory" not in words(picker)


def test_arrow_keys_step_over_the_headings(qtbot: QtBot, picker: DesignPicker, session: Session) -> None:
    picker.choice.setFocus()
    session.designs.choose("transformer-big")
    qtbot.keyClick(picker.choice, Qt.Key.Key_Down)
    assert session.designs.name == "gpt2-tiny"


def test_saved_and_edited_designs_are_listed(picker: DesignPicker, session: Session) -> None:
    session.designs.set(dataclasses.replace(session.designs.current, n_layer=7))
    assert picker.choice.currentText().startswith("Edited design (not saved)")
    session.designs.save("mine")
    assert picker.choice.currentText().startswith("mine")
    assert picker.choice.findData("") == -1
    (session.library.designs / "bad.json").write_text("{", "utf-8")
    session.designs.list_changed.emit()
    assert picker.choice.findData("bad") == -1
    assert picker.choice.currentData() == "mine"
