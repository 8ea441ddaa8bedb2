"""The lens panel with a real, if random, model: it shows what the model computes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from PySide6.QtCore import QPoint, Qt
from pytestqt.qtbot import QtBot
from tokenizers import Tokenizer

from terrarium.app.glass.focus import Focus
from terrarium.app.glass.layers.lens_panel import LensPanel, describe_lead
from terrarium.app.kit.export_button import ExportButton
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.session import Session
from terrarium.models.inspect.ablation import ablated_logits
from terrarium.models.inspect.read_text import Text
from terrarium.models.inspect.readout import Readout
from tests.app.glass.opened import open_random, text_of
from tests.app.heard import Until


@pytest.fixture
def panel(qtbot: QtBot, session: Session, theme: ThemeProvider, focus: Focus) -> LensPanel:
    panel = LensPanel(session, theme, focus)
    qtbot.addWidget(panel)
    panel.resize(460, 800)
    panel.show()
    return panel


def test_a_message_says_what_is_missing(
    panel: LensPanel, session: Session, focus: Focus, byte_tokenizer: Tokenizer
) -> None:
    assert "No model is open" in panel.message
    open_random(session, "gpt2-tiny", byte_tokenizer)
    assert "Nothing to inspect yet" in panel.message
    focus.show(text_of(byte_tokenizer, "abc", 2))
    assert "Point at a token" in panel.message


def test_the_first_token_has_no_prediction(
    panel: LensPanel, session: Session, focus: Focus, byte_tokenizer: Tokenizer, until: Until
) -> None:
    open_random(session, "gpt2-tiny", byte_tokenizer)
    focus.show(text_of(byte_tokenizer, "abc", 2))
    focus.lock(0)
    until(lambda: "Nothing predicts the first token" in panel.message)


@pytest.mark.parametrize("design", ["terrarium-tiny", "bert-tiny", "t5-tiny", "post-norm decoder"])
def test_the_last_row_is_the_models_prediction(
    panel: LensPanel, session: Session, focus: Focus, byte_tokenizer: Tokenizer, until: Until, design: str
) -> None:
    model, tokenizer = open_random(session, design, byte_tokenizer)
    is_encoder = design == "bert-tiny"
    text = text_of(tokenizer, "the cat sat", 4, "a source" if design == "t5-tiny" else "")
    focus.show(text)
    focus.lock(6)
    until(lambda: not panel.message and not panel.examiner.busy)
    table = panel.grid.table
    assert table is not None
    at = 6 if is_encoder else 5
    p = ablated_logits(model, Text(ids=text.ids, source_ids=text.source_ids), Readout(at=at), [[]])[0].softmax(dim=-1)
    assert float(table.values[-1, -1]) == pytest.approx(float(p.max()), abs=1e-5)
    assert (len(table.layers), table.read_words[-1]) == (4, text.words[at])
    split = [bar for bars in panel.bars.bars for bar in bars]
    assert bool(split) != is_encoder
    assert panel.no_split.isVisible() == is_encoder
    assert panel.no_norm.isVisible() == (design in ("bert-tiny", "post-norm decoder"))
    assert ("sees this token" in panel.head.note) == is_encoder
    if split:
        logit = ablated_logits(model, Text(ids=text.ids, source_ids=text.source_ids), Readout(at=at), [[]])[0][
            text.ids[6]
        ]
        assert sum(value for _, value in split) == pytest.approx(float(logit), abs=1e-3)
    assert model.training


def test_clicks_track_and_untrack_a_token(
    panel: LensPanel, session: Session, focus: Focus, byte_tokenizer: Tokenizer, until: Until, qtbot: QtBot
) -> None:
    _, tokenizer = open_random(session, "gpt2-tiny", byte_tokenizer)
    focus.show(text_of(tokenizer, "the cat sat on", 4))
    focus.lock(9)
    until(lambda: not panel.message and not panel.examiner.busy)
    before = len(panel.chips.chips)
    cell = next(
        (column, row)
        for row, words in enumerate(panel.grid.table.words)  # type: ignore[union-attr]
        for column, word in enumerate(words)
        if not any(chip.words.startswith(f"{word} ") for chip in panel.chips.chips)
    )
    qtbot.mouseClick(panel.grid, Qt.MouseButton.LeftButton, pos=panel.grid.cell_rect(*cell).center().toPoint())
    assert len(panel.chips.chips) == before + 1
    focus.lock(8)  # what the user chose stays
    until(lambda: not panel.examiner.busy)
    word = panel.grid.table.words[cell[1]][cell[0]]  # type: ignore[union-attr]
    assert word
    n = len(panel.chips.chips)
    qtbot.mouseClick(
        panel.chips, Qt.MouseButton.LeftButton, pos=panel.chips.rect_of(n - 1).center().toPoint() + QPoint(1, 0)
    )
    assert len(panel.chips.chips) == n - 1
    panel.track.setText("Q")
    qtbot.keyClick(panel.track, Qt.Key.Key_Return)
    until(lambda: any(chip.words.startswith("Q ") for chip in panel.chips.chips))
    panel.scale.buttons.button(1).click()
    panel.of.buttons.button(1).click()
    assert ", over " in panel.split_title.text()
    panel.grid.setFocus()
    qtbot.keyClick(panel.grid, Qt.Key.Key_Right)
    assert "rank" in panel.grid.accessibleDescription()
    panel.grab()


def test_a_click_means_the_columns_that_are_shown(
    panel: LensPanel, session: Session, focus: Focus, byte_tokenizer: Tokenizer, until: Until, qtbot: QtBot
) -> None:
    """The panel may have become wider since then, with an answer still to come."""
    _, tokenizer = open_random(session, "gpt2-tiny", byte_tokenizer)
    panel.resize(300, panel.height())
    focus.show(text_of(tokenizer, "the cat sat on", 4))
    focus.lock(9)
    until(lambda: not panel.message and not panel.examiner.busy)
    n_shown = len(panel.grid.table.read_words)  # type: ignore[union-attr]
    panel.hide()
    panel.resize(900, panel.height())
    assert panel.grid.columns_for(panel.width()) > n_shown
    panel.grid.chosen.emit(1, 0)
    word = panel.grid.table.words[1][0]  # type: ignore[union-attr]
    assert any(chip.words.startswith(f"{word} ") for chip in panel.chips.chips)


def test_after_further_training_the_lens_is_read_again_with_a_note(
    panel: LensPanel,
    session: Session,
    focus: Focus,
    byte_tokenizer: Tokenizer,
    until: Until,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, tokenizer = open_random(session, "gpt2-tiny", byte_tokenizer)
    focus.show(text_of(tokenizer, "the cat sat on", 4))
    focus.lock(9)
    until(lambda: not panel.message and not panel.examiner.busy)
    before = panel.grid.table
    monkeypatch.setattr(session.chat, "open_model", lambda: (model, tokenizer, 8))
    with torch.no_grad():
        model.embedding.weight.mul_(-1)
    focus.lock(10)
    until(lambda: "step 8" in panel.head.note)
    until(lambda: not panel.examiner.busy)
    assert panel.grid.table is not None
    assert before is not None
    assert panel.grid.table.values[-1, -2] != pytest.approx(before.values[-1, -1])


def test_the_numbers_are_exported(
    panel: LensPanel, session: Session, focus: Focus, byte_tokenizer: Tokenizer, until: Until, tmp_path: Path
) -> None:
    _, tokenizer = open_random(session, "gpt2-tiny", byte_tokenizer)
    focus.show(text_of(tokenizer, "the cat", 4))
    focus.lock(5)
    until(lambda: not panel.message and not panel.examiner.busy)
    (button,) = panel.findChildren(ExportButton)
    for kind in ("csv", "json", "png", "svg"):
        button.export_to(tmp_path / f"lens.{kind}", kind)
    until(lambda: all((tmp_path / f"lens.{kind}").exists() for kind in ("csv", "json", "png", "svg")))
    rows = (tmp_path / "lens.csv").read_text().splitlines()
    assert rows[0] == "what,position,token_there,layer,part,rank,token,amount"
    assert len([row for row in rows if row.startswith("probability,")]) == 5 * 4 * 5  # positions, layers, top tokens
    parts = [row.split(",") for row in rows if row.startswith("logit,")]
    assert [part[4] for part in parts][::7] == ["embedding", "biases"]
    assert panel.answer is not None
    assert panel.answer.split is not None
    assert sum(float(part[-1]) for part in parts) == pytest.approx(panel.answer.split.total, abs=1e-4)


NAMES = ("·happy", "·sad", "·the").__getitem__


@pytest.mark.parametrize(
    ("tops", "expected"),
    [
        ((2, 1, 0, 0), "“happy” leads from layer 2 on, and ends with 31 %; before that, “sad” did."),
        ((0, 0, 0, 0), "“happy” leads from the start, before any layer (31 % in the end)."),
        ((0, 1, 1, 0), "“happy” takes the lead only in the last layer, with 31 %; before that, “sad” did."),
        ((2, 2, 1, 1), "“happy” never leads: in the end “sad” has 40 %, “happy” 31 %."),
        ((2, 0, 0, 1), "“happy” led after layer 2, but in the end “sad” has 40 %, “happy” 31 %."),
        ((0, 1, 1, 1), "“happy” led before any layer, but in the end “sad” has 40 %, “happy” 31 %."),
    ],
)
def test_the_lead(tops: Sequence[int], expected: str) -> None:
    found = describe_lead([(id, 0.4) for id in tops], 0, 0.31, NAMES)
    assert found.replace("\N{NO-BREAK SPACE}", " ") == expected
