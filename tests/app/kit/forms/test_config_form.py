"""The generated form: one editor per field, legal settings out, problems beside their cause."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QValidator
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QLabel,
    QPlainTextEdit,
    QPushButton,
    QStyle,
    QStyleOptionComboBox,
)
from pytestqt.qtbot import QtBot

from terrarium.app.kit.forms.config_form import ConfigForm
from terrarium.app.kit.forms.editors import FloatBox, IntBox
from terrarium.app.kit.theme import ThemeProvider
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS
from terrarium.models.settings.run_spec import TrainConfig
from terrarium.models.settings.sampling_config import SamplingConfig
from tests.app.wheel import turn_wheel


@pytest.mark.parametrize("config", [ModelConfig(), TrainConfig(prompts=("Once", "Who")), SamplingConfig(stop=("x",))])
def test_shows_every_settings_class_and_gives_it_back(qtbot: QtBot, theme: ThemeProvider, config: Any) -> None:
    form = ConfigForm(config, theme)
    qtbot.addWidget(form)
    for f in dataclasses.fields(config):
        if len(f.metadata.get("choices", (1, 2))) > 1:
            editor = form.editor(f.name)
            assert editor.accessibleName() == f.metadata["label"]
            assert f.metadata["help"].split(".")[0] in editor.toolTip()
    form.apply({})
    assert form.config == config
    assert form.problem == ""


def test_an_edit_gives_a_new_legal_config(qtbot: QtBot, theme: ThemeProvider) -> None:
    form = ConfigForm(PRESETS["gpt2-tiny"], theme)
    qtbot.addWidget(form)
    width, tied, norm = form.editor("d_model"), form.editor("tied_embeddings"), form.editor("norm")
    assert isinstance(width, IntBox)
    assert isinstance(tied, QCheckBox)
    assert isinstance(norm, QComboBox)
    with qtbot.waitSignal(form.changed) as caught:
        width.setValue(192)
    assert caught.args == [dataclasses.replace(PRESETS["gpt2-tiny"], d_model=192)]
    tied.setChecked(False)
    norm.setCurrentIndex(norm.findData("rmsnorm"))
    assert (form.config.tied_embeddings, form.config.norm) == (False, "rmsnorm")


def test_a_problem_stands_beside_its_slot_and_its_advice_can_be_taken(qtbot: QtBot, theme: ThemeProvider) -> None:
    form = ConfigForm(PRESETS["gpt2-tiny"], theme)
    qtbot.addWidget(form)
    form.show()
    heads = form.editor("n_head")
    assert isinstance(heads, IntBox)
    with qtbot.waitSignal(form.problem_changed):
        heads.setValue(6)
    assert form.problem == "Heads 6 does not divide Width 128: use 4 or 8."
    assert form.problem_slot == "n_head"
    assert form.config == PRESETS["gpt2-tiny"], "an illegal filling never leaves the form"
    shown = [label for label in form.findChildren(QLabel) if label.isVisible() and label.property("role") == "error"]
    (problem,) = shown
    assert abs(problem.mapTo(form, QPoint(0, 0)).y() - heads.mapTo(form, QPoint(0, 0)).y()) < 2 * heads.height()
    use = {button.text(): button for button in form.row("n_head").findChildren(QPushButton)}
    assert list(use) == ["Use 4", "Use 8"]
    qtbot.mouseClick(use["Use 8"], Qt.MouseButton.LeftButton)
    assert (form.config.n_head, form.problem) == (8, "")
    assert not problem.isVisible()


def test_rows_that_mean_nothing_are_hidden(qtbot: QtBot, theme: ThemeProvider) -> None:
    form = ConfigForm(PRESETS["gpt2-tiny"], theme)
    qtbot.addWidget(form)
    form.show()
    positions = form.editor("position")
    assert isinstance(positions, QComboBox)
    assert not form.editor("rope_theta").isVisible()
    positions.setCurrentIndex(positions.findData("rope"))
    assert form.editor("rope_theta").isVisible()


def test_zero_is_shown_in_words_that_follow_the_settings(qtbot: QtBot, theme: ThemeProvider) -> None:
    form = ConfigForm(ModelConfig(n_head=4), theme, zero_text={"n_kv_head": lambda config: f"auto ({config.kv_heads})"})
    qtbot.addWidget(form)
    shared, heads = form.editor("n_kv_head"), form.editor("n_head")
    assert isinstance(shared, IntBox)
    assert isinstance(heads, IntBox)
    assert shared.text() == "auto (4)"
    heads.setValue(8)
    assert shared.text() == "auto (8)"


def test_typed_numbers_count_when_entered_or_committed(qtbot: QtBot, theme: ThemeProvider) -> None:
    form = ConfigForm(ModelConfig(), theme)
    qtbot.addWidget(form)
    layers = form.editor("n_layer")
    layers.clear()  # type: ignore[attr-defined]
    qtbot.keyClicks(layers, "12")
    assert form.config.n_layer == 4
    form.commit()
    assert form.config.n_layer == 12


def test_lines_are_a_tuple(qtbot: QtBot, theme: ThemeProvider) -> None:
    form = ConfigForm(TrainConfig(), theme)
    qtbot.addWidget(form)
    prompts = form.editor("prompts")
    assert isinstance(prompts, QPlainTextEdit)
    prompts.setPlainText("Once upon a time\n\nWho has the kite?\n")
    assert form.config.prompts == ("Once upon a time", "Who has the kite?")


def test_set_config_is_silent_and_ends_a_problem(qtbot: QtBot, theme: ThemeProvider) -> None:
    form = ConfigForm(ModelConfig(), theme)
    qtbot.addWidget(form)
    form.editor("n_head").setValue(7)  # type: ignore[attr-defined]
    assert form.problem
    with qtbot.assertNotEmitted(form.changed):
        form.set_config(PRESETS["llama-tiny"])
    assert form.problem == ""
    assert form.editor("n_kv_head").value() == 2  # type: ignore[attr-defined]


def test_show_group_unfolds_it(qtbot: QtBot, theme: ThemeProvider) -> None:
    form = ConfigForm(ModelConfig(), theme, folded=("Details",))
    qtbot.addWidget(form)
    form.show()
    assert not form.editor("bias").isVisible()
    form.show_group("Details")
    assert form.editor("bias").isVisible()


def test_the_wheel_scrolls_past_an_editor_without_focus(qtbot: QtBot, theme: ThemeProvider) -> None:
    form = ConfigForm(ModelConfig(), theme)
    qtbot.addWidget(form)
    form.show()
    layers = form.editor("n_layer")
    wheel = turn_wheel(layers)
    assert form.config.n_layer == 4
    assert not wheel.isAccepted()


@pytest.mark.parametrize(
    ("value", "steps", "expected"),
    [
        (0.0003, 1, 0.0004),
        (0.0001, -1, 0.00009),
        (0.9, 1, 1.0),
        (1e-5, 1, 2e-5),
        (10_000.0, 1, 20_000.0),
        (0.0, 1, 0.05),
    ],
)
def test_a_step_moves_the_first_digit(qtbot: QtBot, value: float, steps: int, expected: float) -> None:
    box = FloatBox(0.0, 1e9, 0.05)
    qtbot.addWidget(box)
    box.setValue(value)
    box.stepBy(steps)
    assert box.value() == pytest.approx(expected)
    assert float(box.text().replace(",", "")) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("3e-4", QValidator.State.Acceptable),
        ("3e-", QValidator.State.Intermediate),
        ("7", QValidator.State.Intermediate),
        ("x", QValidator.State.Invalid),
        ("inf", QValidator.State.Invalid),
    ],
)
def test_numbers_are_typed_as_people_write_them(qtbot: QtBot, text: str, state: QValidator.State) -> None:
    box = FloatBox(0.0, 1.0, 0.05)
    qtbot.addWidget(box)
    assert box.validate(text, 0)[0] == state


@pytest.mark.parametrize(
    ("typed", "value", "shown"),
    [
        ("1000000", 1e6, "1,000,000"),
        ("1,000,000", 1e6, "1,000,000"),
        ("2e6", 2e6, "2,000,000"),
        ("1500.5", 1500.5, "1500.5"),
        ("0,5", 7.0, "7"),  # a half to some: not taken for five
    ],
)
def test_thousands_are_set_apart(qtbot: QtBot, typed: str, value: float, shown: str) -> None:
    box = FloatBox(0.0, 1e12, 1.0)
    qtbot.addWidget(box)
    box.setValue(7.0)
    box.lineEdit().setText(typed)
    box.interpretText()
    assert (box.value(), box.text()) == (value, shown)


def test_digits_that_are_not_shown_are_kept(qtbot: QtBot, theme: ThemeProvider) -> None:
    config = ModelConfig(norm_eps=1 / 3_000_000, init_std=0.0883883476483184, dropout=1 / 3)
    form = ConfigForm(config, theme)
    qtbot.addWidget(form)
    form.commit()
    form.apply({"n_layer": 5})
    assert form.config == dataclasses.replace(config, n_layer=5)


@pytest.mark.parametrize("scale", [0.9, 1.0, 1.5])
def test_no_choice_is_cut_off(qtbot: QtBot, theme: ThemeProvider, scale: float) -> None:
    form = ConfigForm(PRESETS["t5-tiny"], theme)
    qtbot.addWidget(form)
    theme.apply_theme(form)
    form.show()
    theme.set_text_scale(scale)
    topology = form.editor("topology")
    assert isinstance(topology, QComboBox)
    option = QStyleOptionComboBox()
    topology.initStyleOption(option)
    room = topology.style().subControlRect(
        QStyle.ComplexControl.CC_ComboBox, option, QStyle.SubControl.SC_ComboBoxEditField, topology
    )
    assert room.width() >= topology.fontMetrics().horizontalAdvance("Encoder-decoder")
