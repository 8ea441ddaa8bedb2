"""The panel of tuned probabilities with a real, if random, model: it measures, shows, offers a temperature, exports."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot
from tokenizers import Tokenizer

from terrarium.app.glass.calibration.calibration_panel import CalibrationPanel
from terrarium.app.glass.focus import Focus
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.session import Session
from terrarium.models.settings.sampling_config import SamplingConfig
from tests.app.glass.opened import open_random
from tests.app.heard import Until
from tests.app.small_models import put_model


@pytest.fixture
def panel(qtbot: QtBot, session: Session, theme: ThemeProvider, focus: Focus) -> CalibrationPanel:
    panel = CalibrationPanel(session, theme, focus)
    qtbot.addWidget(panel)
    panel.resize(400, 900)
    return panel


@pytest.fixture
def story(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A text file that the file dialog returns."""
    path = tmp_path / "story.txt"
    path.write_text("The cat sat on the mat, and the dog ran away. " * 60, encoding="utf-8")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *args: (str(path), ""))
    return path


@pytest.fixture
def measured(
    panel: CalibrationPanel, session: Session, byte_tokenizer: Tokenizer, story: Path, until: Until
) -> CalibrationPanel:
    """The panel with a measurement on the story."""
    run_id = put_model(session.library, byte_tokenizer, "decoder-only")
    session.runs.changed.emit()
    panel.show()
    session.chat.open(run_id)
    until(lambda: session.chat.state == "ready" and not panel.examiner.busy)
    panel.choose.click()
    until(lambda: panel.found is not None)
    return panel


def test_a_model_without_known_data_asks_for_a_text(
    panel: CalibrationPanel, session: Session, byte_tokenizer: Tokenizer, until: Until
) -> None:
    panel.show()
    assert "No model is open" in panel.message
    assert panel.choose.isHidden()
    run_id = put_model(session.library, byte_tokenizer, "decoder-only")
    session.runs.changed.emit()
    session.chat.open(run_id)
    until(lambda: "choose a text file" in panel.message)
    assert panel.choose.isVisible()
    assert panel.busy_row.isHidden()


def test_nothing_is_measured_while_it_is_hidden(
    panel: CalibrationPanel, session: Session, byte_tokenizer: Tokenizer
) -> None:
    open_random(session, "gpt2-tiny", byte_tokenizer)
    assert not panel.examiner.busy
    assert panel.message == ""


def test_the_measurement_is_shown_in_words_a_curve_and_a_table(measured: CalibrationPanel) -> None:
    found = measured.found
    assert found is not None
    assert found.data == "story.txt"
    assert not measured.message
    assert measured.sentence.text().startswith("When this model says ")
    assert measured.curve.points[0] == ("As it is", found.before.best.bins[0])
    before, after = (label.text() for label in measured.cells["ece"])
    assert before.startswith(f"{100 * found.before.best.ece.value:.1f}")
    assert after.startswith(f"{100 * found.after.best.ece.value:.1f}")
    assert "story.txt" in measured.data.text()
    measured.outcomes.buttons.button(1).click()
    assert measured.curve.points[0] == ("As it is", found.before.top.bins[0])
    assert measured.cells["ece"][0].text().startswith(f"{100 * found.before.top.ece.value:.1f}")


def test_the_keys_read_the_curve(measured: CalibrationPanel, qtbot: QtBot) -> None:
    curve = measured.curve
    assert "Reliability curve" in curve.accessibleName()
    found = measured.found
    assert found is not None
    qtbot.keyClick(curve, Qt.Key.Key_Home)
    first = found.before.best.bins[0]
    assert f"right {100 * first.accuracy.value:.1f}" in curve.accessibleDescription()
    qtbot.keyClick(curve, Qt.Key.Key_End)
    assert curve.index == len(found.before.best.bins) + len(found.after.best.bins) - 1
    assert curve.accessibleDescription().startswith("Temperature")
    columns = curve.spec.columns()
    assert any("As it is" in name for name in columns)
    assert not curve.grab().toImage().isNull()


def test_the_temperature_goes_to_the_sampling_settings(measured: CalibrationPanel) -> None:
    heard: list[SamplingConfig] = []
    measured.sampling_changed.connect(heard.append)
    measured.set_sampling(SamplingConfig(temperature=0.7, top_k=5))
    assert measured.use.isVisible()
    assert measured.use.isEnabled()
    measured.use.click()
    assert measured.found is not None
    best = round(measured.found.temperature.value, 2)
    assert heard == [SamplingConfig(temperature=best, top_k=5)]
    measured.set_sampling(heard[0])
    assert not measured.use.isEnabled()
    assert "already" in measured.use.toolTip()


def test_it_is_not_measured_again_for_the_same_model(measured: CalibrationPanel, focus: Focus) -> None:
    found = measured.found
    measured.hide()
    measured.show()
    focus.text_changed.emit()
    assert measured.found is found
    assert not measured.examiner.busy


def test_it_can_be_stopped_and_started(measured: CalibrationPanel, until: Until) -> None:
    measured.measure()
    assert measured.busy_row.is_busy
    assert "Reading" in measured.message
    measured.busy_row.stop.click()
    assert "stopped" in measured.message
    assert not measured.examiner.busy
    assert measured.busy_row.start.isVisible()
    measured.busy_row.start.click()
    until(lambda: measured.found is not None)
    assert measured.busy_row.isHidden()


def test_a_failure_is_a_sentence(measured: CalibrationPanel, story: Path, until: Until) -> None:
    story.write_text("Short.", encoding="utf-8")
    measured.choose.click()
    until(lambda: "has only" in measured.message)
    assert measured.found is None


@pytest.mark.parametrize("kind", ["png", "svg", "csv", "json"])
def test_it_is_exported(measured: CalibrationPanel, tmp_path: Path, until: Until, kind: str) -> None:
    path = tmp_path / f"calibration.{kind}"
    measured.export.export_to(path, kind)
    until(path.exists)
    if kind == "json":
        until(lambda: bool(path.read_text()))
        columns = json.loads(path.read_text(encoding="utf-8"))
        found = measured.found
        assert found is not None
        at = columns["what"].index("ece")
        assert (columns["outcomes"][at], columns["temperature"][at]) == ("best", 1.0)
        assert columns["value"][at] == found.before.best.ece.value
        keys = ("n", "what", "outcomes", "temperature")
        rows = zip(*(columns[key] for key in keys), strict=True)
        assert sum(n for n, *key in rows if key == ["bin", "best", 1.0]) == found.n_judged
