"""The sampling panel: everything there is to set, presets, and what belongs to a model."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QInputDialog
from pytestqt.qtbot import QtBot
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from terrarium.app.chat.settings.sampling_panel import SamplingPanel
from terrarium.app.chat.settings.sampling_presets import SamplingPresets
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.remembered import Remembered
from terrarium.app.session.session import Session
from terrarium.models.settings.sampling_config import SamplingConfig

ALL = SamplingConfig(
    temperature=0.4,
    top_k=20,
    top_p=0.9,
    min_p=0.05,
    typical_p=0.8,
    top_n_sigma=1.5,
    mirostat_tau=3.0,
    mirostat_eta=0.2,
    repetition_penalty=1.2,
    frequency_penalty=0.5,
    presence_penalty=-0.5,
    logit_bias=((70, 2.0), (71, -100.0)),
    seed=12,
    max_tokens=64,
    stop=("\n\n", "User:"),
)


@pytest.fixture
def panel(qtbot: QtBot, session: Session, theme: ThemeProvider) -> SamplingPanel:
    panel = SamplingPanel(theme, SamplingPresets(session.remembered, session.notices))
    qtbot.addWidget(panel)
    panel.show()
    return panel


def test_every_setting_can_be_edited(panel: SamplingPanel) -> None:
    assert panel.config == SamplingConfig()
    panel.set_config(ALL)
    assert panel.config == ALL
    assert panel.more.title == "More (11 changed)"
    assert panel.presets.list.currentText() == "Custom"
    rows = {*panel.sliders, "seed", "stop", "logit_bias"}
    assert rows == {field.name for field in dataclasses.fields(SamplingConfig)}


def test_presets_are_chosen_saved_and_deleted(
    panel: SamplingPanel, session: Session, monkeypatch: pytest.MonkeyPatch, theme: ThemeProvider
) -> None:
    bar, changes = panel.presets, list[bool]()
    panel.changed.connect(lambda: changes.append(True))
    bar.list.activated.emit(bar.list.findText("Exact"))
    assert (panel.config.temperature, bar.list.currentText(), changes) == (0.0, "Exact", [True])
    assert not bar.delete.isEnabled()
    panel.set_config(ALL)
    monkeypatch.setattr(QInputDialog, "getText", lambda *asked: ("Mine", True))
    bar.save.trigger()
    assert bar.list.currentText() == "Mine"
    panel.slider("temperature").set_value(0.9)
    panel.slider("temperature").changed.emit(0.9)
    assert bar.list.currentText() == "Custom"
    bar.list.activated.emit(bar.list.findText("Mine"))
    assert panel.config == ALL
    bar.delete.trigger()
    assert bar.list.findText("Mine") == -1
    bar.list.activated.emit(0)
    assert bar.list.currentText() == "Custom"


def test_defaults_of_a_model_are_loaded_with_it(panel: SamplingPanel, byte_tokenizer: Tokenizer) -> None:
    told: list[float] = []
    panel.changed.connect(lambda: told.append(panel.config.temperature))
    panel.open_model("one", byte_tokenizer, SamplingConfig(temperature=0.3))
    assert panel.config.temperature == 0.3
    assert told == [0.3]
    panel.slider("temperature").changed.emit(0.3)
    panel.set_config(dataclasses.replace(ALL, seed=5))
    panel.presets.set_defaults.trigger()
    panel.set_config(SamplingConfig(temperature=1.5))
    panel.open_model("one", byte_tokenizer, SamplingConfig(temperature=0.3))
    assert panel.config.temperature == 1.5, "the same model again changes nothing"
    panel.open_model("two", byte_tokenizer, SamplingConfig(temperature=0.8))
    assert panel.config.temperature == 1.5, "nor does one for which nothing was settled, once the user has set anything"
    panel.presets.reset.trigger()
    assert panel.config.temperature == 0.8
    panel.open_model("one", byte_tokenizer, SamplingConfig(temperature=0.3))
    assert panel.config == dataclasses.replace(ALL, seed=panel.seed.value())
    panel.presets.clear_defaults.trigger()
    panel.presets.reset.trigger()
    assert panel.config.temperature == 0.3


def relaunched(session: Session, theme: ThemeProvider, qtbot: QtBot) -> SamplingPanel:
    """The panel of the next launch, which reads what was written in this one."""
    session.remembered.flush()
    remembered = Remembered(session.library.home, session.notices)
    panel = SamplingPanel(theme, SamplingPresets(remembered, session.notices))
    qtbot.addWidget(panel)
    return panel


def test_the_settings_are_those_of_the_launch_before(
    panel: SamplingPanel, session: Session, theme: ThemeProvider, qtbot: QtBot, byte_tokenizer: Tokenizer
) -> None:
    panel.open_model("one", byte_tokenizer, SamplingConfig(temperature=0.3))
    panel.use(dataclasses.replace(ALL, temperature=0.65))
    panel.new_each_time.click()
    for run_id in ("one", "two"):
        again = relaunched(session, theme, qtbot)
        assert again.is_seed_kept
        again.set_context_length(32)
        again.open_model(run_id, byte_tokenizer, SamplingConfig(temperature=0.8))
        bias = ALL.logit_bias if run_id == "one" else ()
        assert again.config == dataclasses.replace(ALL, temperature=0.65, max_tokens=32, logit_bias=bias)
        again.set_context_length(512)
        assert again.config.max_tokens == ALL.max_tokens, "a shorter context was no choice of the user"


def test_settings_that_nobody_chose_are_those_of_the_model(
    panel: SamplingPanel, session: Session, theme: ThemeProvider, qtbot: QtBot, byte_tokenizer: Tokenizer
) -> None:
    panel.set_context_length(64)
    panel.open_model("one", byte_tokenizer, SamplingConfig(temperature=0.3))
    again = relaunched(session, theme, qtbot)
    again.open_model("two", byte_tokenizer, SamplingConfig(temperature=0.8))
    assert again.config.temperature == 0.8
    again.use(SamplingConfig(temperature=1.0))
    again.open_model("one", byte_tokenizer, SamplingConfig(temperature=0.3))
    assert again.config.temperature == 1.0
    again.presets.reset.trigger()
    again.open_model("two", byte_tokenizer, SamplingConfig(temperature=0.8))
    assert again.config.temperature == 0.8, "a reset is no choice"


def test_what_differs_is_counted_from_the_open_model(
    panel: SamplingPanel, session: Session, theme: ThemeProvider, qtbot: QtBot, byte_tokenizer: Tokenizer
) -> None:
    usual = SamplingConfig(top_k=7, min_p=0.1)
    panel.open_model("one", byte_tokenizer, usual)
    assert panel.more.title == "More"
    again = relaunched(session, theme, qtbot)
    again.open_model("one", byte_tokenizer, usual)
    assert again.more.title == "More", "as it was left"


def test_stop_texts(qtbot: QtBot, panel: SamplingPanel) -> None:
    for text in (r"\n\n", "User:", "User:", ""):
        panel.stop.field.setText(text)
        qtbot.keyClick(panel.stop.field, Qt.Key.Key_Return)
    assert panel.config.stop == ("\n\n", "User:")
    assert [chip.words for chip in panel.stop.chips.chips] == ["⏎⏎", "User:"]
    panel.stop.chips.removed.emit(0)
    assert panel.config.stop == ("User:",)


def test_a_token_is_found_by_its_text(
    qtbot: QtBot, panel: SamplingPanel, byte_tokenizer: Tokenizer, until: Callable[[Callable[[], bool]], None]
) -> None:
    panel.open_model("one", byte_tokenizer, SamplingConfig(logit_bias=((70, 1.5),)))
    assert panel.bias.chips.chips[0].words == "A +1.5"
    panel.bias.field.setText("Z")
    until(lambda: not panel.bias.search.busy)
    panel.bias.bias.setValue(-3)
    qtbot.keyClick(panel.bias.field, Qt.Key.Key_Return)
    assert panel.config.logit_bias == ((70, 1.5), (95, -3.0))
    assert panel.bias.chips.chips[1].words == "Z −3"
    assert panel.bias.found.isHidden()
    panel.bias.chips.removed.emit(0)
    assert panel.config.logit_bias == ((95, -3.0),)
    panel.bias.field.setText("nothing")
    assert panel.bias.found.isHidden()
    panel.bias.set_tokenizer(copy.deepcopy(byte_tokenizer))
    assert panel.config.logit_bias == ((95, -3.0),)
    panel.bias.set_tokenizer(Tokenizer(WordLevel({"Z": 0, "A": 95}, unk_token="Z")))
    assert panel.config.logit_bias == (), "95 is another token there"


def test_a_new_seed_each_time_or_the_same(panel: SamplingPanel) -> None:
    panel.draw_seed()
    drawn = panel.seed.value()
    panel.new_each_time.setChecked(False)
    panel.draw_seed()
    assert panel.seed.value() == drawn > 0


_VALUES: dict[str, object] = {"stop": ("\n\n", "end"), "logit_bias": ((7, -3.25),)}


@pytest.mark.parametrize("field", dataclasses.fields(SamplingConfig), ids=lambda field: field.name)
def test_the_panel_keeps_each_field_as_it_was_set(field: dataclasses.Field[object], panel: SamplingPanel) -> None:
    low, high = field.metadata.get("range") or (0, 1)
    between = low + (high - low) / 7  # not a value of any slider
    numbers = [low, round(between) if isinstance(field.default, int) else between, high]
    for value in [_VALUES[field.name]] if field.name in _VALUES else numbers:
        try:
            config = dataclasses.replace(SamplingConfig(), **{field.name: value})
        except ValueError:
            continue  # 0 is within the range of top_p, but not allowed
        panel.set_config(config)
        assert panel.config == config
    panel.sliders["min_p"].set_value(0.25)
    assert panel.config.min_p == 0.25
