"""The panel of the weights' kinds: it opens the model again, measures it, and says honestly what came of it."""

from __future__ import annotations

import dataclasses

import pytest
from pytestqt.qtbot import QtBot
from tokenizers import Tokenizer

from terrarium.app.chat.settings.weights_panel import WeightsPanel
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.chat_model import LIVE
from terrarium.app.session.session import Session
from terrarium.models.inference.weight_kinds import KINDS, WeightsFigures, WeightsMeasured
from terrarium.models.library.library import Library
from tests.app.small_models import put_model

EXACT = WeightsFigures(
    kind="float32", megabytes=538.06, tokens_per_s=40.0, read_per_s=500.4, perplexity=9.8, change=0.0
)
MEASURED = WeightsMeasured(
    rows=(
        EXACT,
        dataclasses.replace(EXACT, kind="bfloat16", tokens_per_s=36.0, read_per_s=1000.0, change=-0.0021),
        dataclasses.replace(EXACT, kind="int8", tokens_per_s=80.0, read_per_s=900.0, change=0.0125),
        dataclasses.replace(EXACT, kind="int4", tokens_per_s=120.0, read_per_s=550.0, change=0.02),
    ),
    text="stories",
    n_predicted=2048,
)


@pytest.fixture
def panel(
    session: Session, theme: ThemeProvider, qtbot: QtBot, library: Library, byte_tokenizer: Tokenizer
) -> WeightsPanel:
    """With a decoder open."""
    panel = WeightsPanel(session, theme)
    qtbot.addWidget(panel)
    panel.show()
    assert not panel.measure.isEnabled()
    assert not panel.kind.isEnabled()
    session.chat.open(put_model(library, byte_tokenizer, "decoder-only"))
    qtbot.waitUntil(lambda: session.chat.state == "ready")
    return panel


def test_another_format_reopens_the_model(panel: WeightsPanel, session: Session, qtbot: QtBot) -> None:
    panel.control.measured = MEASURED
    assert panel.kind.value == "float32"
    panel.kind.changed.emit("int8")
    qtbot.waitUntil(lambda: session.chat.state == "ready")
    assert session.chat.model is not None
    assert session.chat.model.weights == "int8"
    assert panel.kind.value == "int8"
    assert panel.control.measured is MEASURED  # it is the same checkpoint
    session.chat.open(session.chat.model.run_id)
    qtbot.waitUntil(lambda: session.chat.state == "ready")
    assert panel.kind.value == "float32"


def test_all_formats_are_measured(panel: WeightsPanel, qtbot: QtBot) -> None:
    panel.measure.click()
    assert panel.cancel.isVisible()
    assert not panel.kind.isEnabled()
    qtbot.waitUntil(lambda: not panel.control.busy)
    measured = panel.control.measured
    assert measured is not None
    assert [row.kind for row in measured.rows] == list(KINDS)
    assert panel.verdict.text().count("as fast as float32") == 3
    assert "of stories of Tiny World" in panel.source.text()
    assert panel.measure.text() == "Measure again"


def test_measuring_can_be_cancelled(panel: WeightsPanel, qtbot: QtBot) -> None:
    panel.measure.click()
    panel.cancel.click()
    qtbot.waitUntil(lambda: not panel.control.busy)
    assert panel.measure.isEnabled()
    assert panel.problem.text() == ""


def test_a_slower_format_is_called_slower(panel: WeightsPanel) -> None:
    panel.control.measured = MEASURED
    panel.control.changed.emit()
    assert [cell.text() for cell in panel.cells[0]] == ["float32", "513 MiB", "40.0", "500", "9.800", ""]
    assert [cell.text() for cell in panel.cells[2]][-1] == "+1.25\N{NO-BREAK SPACE}%"
    assert panel.cells[1][-1].text() == "\N{MINUS SIGN}0.21\N{NO-BREAK SPACE}%"
    assert "bfloat16 is not faster overall here: it writes 0.90 times and reads 2.00 times" in panel.verdict.text()
    assert "int8 is faster here: it writes 2.00 times and reads 1.80 times" in panel.verdict.text()
    slow = dataclasses.replace(MEASURED.rows[2], tokens_per_s=4.0, read_per_s=20.0)
    panel.control.measured = dataclasses.replace(MEASURED, rows=(*MEASURED.rows[:2], slow, MEASURED.rows[3]))
    panel.control.changed.emit()
    assert "int8 is slower here: it writes 0.10 times" in panel.verdict.text()
    panel.control.measured = dataclasses.replace(
        MEASURED,
        rows=(*MEASURED.rows[:2], dataclasses.replace(slow, problem="There is no int8 kernel."), MEASURED.rows[3]),
    )
    panel.control.changed.emit()
    assert "There is no int8 kernel." in panel.verdict.text()


def test_failures_are_shown_in_the_panel(panel: WeightsPanel, session: Session, qtbot: QtBot) -> None:
    assert session.chat.model is not None
    panel.control.measure(dataclasses.replace(session.chat.model, step=77))
    qtbot.waitUntil(lambda: not panel.control.busy)
    assert "step-00000077" in panel.problem.text()
    assert panel.problem.isVisible()


def test_encoders_are_not_measured_and_live_models_not_changed(
    panel: WeightsPanel, session: Session, qtbot: QtBot, library: Library, byte_tokenizer: Tokenizer
) -> None:
    session.chat.open(put_model(library, byte_tokenizer, "encoder-only"))
    qtbot.waitUntil(lambda: session.chat.state == "ready")
    assert panel.kind.isEnabled()
    assert not panel.measure.isEnabled()
    assert "Only models that continue a text" in panel.about.text()
    assert session.chat.model is not None
    session.chat.model = dataclasses.replace(session.chat.model, which=LIVE)
    session.chat.model_changed.emit()
    assert not panel.kind.isEnabled()
    assert not panel.measure.isEnabled()
    assert "model in training" in panel.about.text()
