"""Ablating parts and tokens by clicks, and the effect that the panel shows."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot
from tokenizers import Tokenizer

from terrarium.app.glass.ablation import part_survey
from terrarium.app.glass.ablation.ablation_panel import AblationPanel
from terrarium.app.glass.focus import Focus
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.session import Session
from terrarium.models.inspect.ablation import ModelPart, ablated_logits, compare_answers
from terrarium.models.inspect.read_text import Text
from terrarium.models.inspect.readout import Readout
from terrarium.models.tokenizers.special_tokens import mask_id
from tests.app.glass.opened import open_random, text_of
from tests.app.heard import Until


@pytest.fixture
def panel(qtbot: QtBot, session: Session, theme: ThemeProvider, focus: Focus) -> AblationPanel:
    panel = AblationPanel(session, theme, focus)
    qtbot.addWidget(panel)
    panel.resize(460, 900)
    panel.show()
    return panel


def settled(panel: AblationPanel) -> bool:
    return not (panel.message or panel.examiner.busy or panel.survey.busy or panel.typing.isActive())


def click_part(qtbot: QtBot, panel: AblationPanel, part: ModelPart) -> None:
    grid = panel.survey.grid
    row, column = next((i, row.index(part)) for i, row in enumerate(grid.parts) if part in row)
    qtbot.mouseClick(grid, Qt.MouseButton.LeftButton, pos=grid.cell_rect(column, row).center().toPoint())


def click_token(qtbot: QtBot, panel: AblationPanel, i: int) -> None:
    strip = panel.tokens
    qtbot.mouseClick(strip.viewport(), Qt.MouseButton.LeftButton, pos=strip.pill_rect(i).center())


@pytest.mark.parametrize("design", ["terrarium-tiny", "bert-tiny", "t5-tiny"])
def test_clicks_apply_the_intervention(
    panel: AblationPanel,
    session: Session,
    focus: Focus,
    byte_tokenizer: Tokenizer,
    until: Until,
    qtbot: QtBot,
    design: str,
) -> None:
    model, tokenizer = open_random(session, design, byte_tokenizer)
    read = text_of(tokenizer, "the cat sat", 4, "a source" if design == "t5-tiny" else "")
    focus.show(read)
    focus.lock(6)
    until(lambda: settled(panel))
    is_encoder = design == "bert-tiny"
    at, id = 6 if is_encoder else 5, read.ids[6]
    text = Text(ids=read.ids, source_ids=read.source_ids)
    assert "Probability of" in panel.result.text()
    assert panel.generate_button.isVisible() != is_encoder
    side = "decoder." if design == "t5-tiny" else ""
    parts = [ModelPart(f"{side}blocks.1.attention", 2), ModelPart(f"{side}blocks.0.feed_forward")]
    assert set(parts) < set(panel.survey.found)
    picture = panel.survey.grid.picture
    assert picture is not None
    for part in parts:  # ochre, the high end, for what speaks for it, as in Inputs
        row, column = next((i, row.index(part)) for i, row in enumerate(panel.survey.grid.parts) if part in row)
        assert np.sign(picture.values[row, column]) == -np.sign(panel.survey.found[part])
    for part in parts:
        click_part(qtbot, panel, part)
    click_token(qtbot, panel, 3)
    until(lambda: settled(panel))
    masked = (
        Text(ids=tuple(mask_id(tokenizer) if i == 3 else token for i, token in enumerate(read.ids)))  # type: ignore[misc]
        if is_encoder
        else Text(ids=read.ids, source_ids=read.source_ids, hidden=frozenset({3}))
    )
    before, after = (
        ablated_logits(model, text, Readout(at=at), [()])[0],
        ablated_logits(model, masked, Readout(at=at), [parts])[0],
    )
    change = compare_answers(before, after, id)
    assert [(pair.before, pair.after) for pair in panel.pairs.pairs] == [
        pytest.approx((p, q), abs=1e-5) for _, p, q in change.tokens
    ]
    assert f"{change.divergence:.3f} nats" in panel.facts.text()
    assert len(panel.chips.chips) == 3
    for _ in range(3):
        qtbot.mouseClick(panel.chips, Qt.MouseButton.LeftButton, pos=panel.chips.rect_of(0).center().toPoint())
        until(lambda: settled(panel))
    assert not panel.chips.chips
    assert "Probability of" in panel.result.text()
    panel.grab()


def test_patching_all_parts_gives_the_other_texts_answer(
    panel: AblationPanel, session: Session, focus: Focus, byte_tokenizer: Tokenizer, until: Until, qtbot: QtBot
) -> None:
    model, tokenizer = open_random(session, "gpt2-tiny", byte_tokenizer)
    focus.show(text_of(tokenizer, "the cat sat", 4))
    focus.lock(8)
    until(lambda: settled(panel))
    panel.how.buttons.button(1).click()
    until(lambda: panel.other.toPlainText() == "the cat ")
    panel.other.setPlainText("the dog ")
    until(lambda: "Both texts have 8 tokens" in panel.other_note.text())
    until(lambda: settled(panel))
    for i in range(3):
        click_part(qtbot, panel, ModelPart(f"blocks.{i}"))
    until(lambda: settled(panel) and len(panel.chips.chips) == 3)
    there = tuple(tokenizer.encode("the dog ", add_special_tokens=False).ids)
    # All layers are patched and both texts end in the same token, so the answer is that of the other text.
    p = ablated_logits(model, Text(ids=there), Readout(at=7), [()])[0].softmax(dim=-1)
    token = focus.text.ids[8]  # type: ignore[union-attr]
    target = next(pair for pair in panel.pairs.pairs if pair.is_target)
    assert target.after == pytest.approx(float(p[token]), abs=1e-5)
    panel.other.setPlainText("a dog ")
    until(lambda: "aligned at the end" in panel.other_note.text())


def test_both_continuations_are_shown(
    panel: AblationPanel, session: Session, focus: Focus, byte_tokenizer: Tokenizer, until: Until, qtbot: QtBot
) -> None:
    _, tokenizer = open_random(session, "llama-tiny", byte_tokenizer)
    focus.show(text_of(tokenizer, "the cat", 4))
    focus.lock(5)
    until(lambda: settled(panel))
    click_part(qtbot, panel, ModelPart("blocks.0"))
    click_token(qtbot, panel, 1)
    until(lambda: settled(panel))
    panel.generate_button.click()
    until(lambda: panel.after.text().startswith("After"))
    assert panel.before.text().startswith("Before")


def test_a_long_survey_starts_on_request_and_can_be_stopped(
    panel: AblationPanel,
    session: Session,
    focus: Focus,
    byte_tokenizer: Tokenizer,
    until: Until,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(part_survey, "MAX_AUTO_SURVEY_FLOPS", 0.0)
    _, tokenizer = open_random(session, "gpt2-tiny", byte_tokenizer)
    focus.show(text_of(tokenizer, "the cat sat", 4))
    focus.lock(8)
    until(lambda: settled(panel))
    assert not panel.survey.found
    assert panel.survey.measure.isVisible()
    panel.survey.measure.click()
    panel.survey.stop.click()
    assert not panel.survey.busy
    panel.survey.measure.click()
    until(lambda: not panel.survey.busy)
    assert len(panel.survey.found) == 3 * (4 + 3)
    assert not panel.survey.measure.isVisible()
    numbers = panel.numbers()()
    assert list(numbers["what"]).count("one part alone") == 21
    assert [p for p in numbers["before"] if p is not None] == [p for _, p, _ in panel.answer.change.tokens]
    focus.lock(7)
    until(lambda: settled(panel))
    assert not panel.survey.found
