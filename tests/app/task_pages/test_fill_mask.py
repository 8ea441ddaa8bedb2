"""The fill-mask page: candidates for each mask, put in by a click; pseudo-perplexity; what does not fit is said."""

from __future__ import annotations

import dataclasses

import pytest
from PySide6.QtCore import QPoint, Qt
from pytestqt.qtbot import QtBot
from tokenizers import Tokenizer

from terrarium.app.glass.focus import Focus
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.session import Session
from terrarium.app.task_pages.fill_mask import N_BEST, FillMask
from terrarium.models.library.library import Library
from tests.app.heard import Heard, Told, Until
from tests.app.small_models import put_model


@pytest.fixture
def page(session: Session, theme: ThemeProvider, library: Library, byte_tokenizer: Tokenizer, qtbot: QtBot) -> FillMask:
    put_model(library, byte_tokenizer, "encoder-only")
    page = FillMask(session, theme, Focus())
    qtbot.addWidget(page)
    page.resize(900, 600)
    page.show()
    return page


def open_encoder(page: FillMask, session: Session, until: Until) -> None:
    session.chat.open("encoder-only")
    until(lambda: session.chat.state == "ready")
    assert page.words == ""


def test_masks_are_filled_one_by_one(
    page: FillMask, session: Session, heard: Heard, told: Told, until: Until, qtbot: QtBot
) -> None:
    open_encoder(page, session, until)
    assert not page.fill_all.isEnabled()
    page.editor.insertPlainText("The cat sat ")
    page.insert.click()
    page.editor.insertPlainText(" the [MASK]t.")
    assert page.text == "The cat sat <|mask|> the [MASK]t."
    until(lambda: page.filled is not None)
    assert page.filled is not None
    assert [len(candidates) for candidates in page.filled.candidates] == [N_BEST, N_BEST]
    assert [len(bars.rows) for bars in page.masks.bars] == [N_BEST, N_BEST]
    best = [candidates[0].text.strip() for candidates in page.filled.candidates]
    until(lambda: told == [(f"Most likely: “{best[0]}”, “{best[1]}”", False)])
    text = page.focus.text
    assert text is not None
    assert text.words[text.n_prompt - 1] == "."
    tokens = page.fits.box.tokens
    masked = text.words.index("⟨mask⟩")
    qtbot.mouseClick(tokens, Qt.MouseButton.LeftButton, pos=tokens.rect_of(masked).center())
    assert page.focus.locked == masked
    chosen = page.filled.candidates[1][2].text
    page.masks.bars[1].chosen.emit(2)
    assert page.text == f"The cat sat <|mask|> the {chosen}t."
    until(lambda: page.filled is not None and len(page.filled.candidates) == 1)
    best = page.filled.candidates[0][0].text
    page.fill_all.click()
    assert page.text == f"The cat sat {best.lstrip()} the {chosen}t."
    page.editor.undo()
    assert "<|mask|>" in page.text
    assert not heard.failures


def test_candidates_by_keyboard_and_mouse(page: FillMask, session: Session, until: Until, qtbot: QtBot) -> None:
    open_encoder(page, session, until)
    page.editor.setPlainText("a [MASK]")
    until(lambda: page.filled is not None)
    [bars] = page.masks.bars
    chosen: list[int] = []
    bars.chosen.connect(chosen.append)
    page.masks.chosen.disconnect()
    qtbot.keyClick(bars, Qt.Key.Key_Down)
    qtbot.keyClick(bars, Qt.Key.Key_Return)
    qtbot.mouseClick(bars, Qt.MouseButton.LeftButton, pos=QPoint(20, 4))
    bars.grab()
    assert chosen == [1, 0]


def test_pseudo_perplexity_is_measured(
    page: FillMask, session: Session, theme: ThemeProvider, heard: Heard, until: Until
) -> None:
    open_encoder(page, session, until)
    page.editor.setPlainText("The [MASK]")
    assert not page.measure.isEnabled()
    page.editor.setPlainText("The cat")
    assert page.measure.isEnabled()
    page.measure.click()
    until(lambda: page.fits.number.text() != "–")
    assert float(page.fits.number.text().replace(",", "")) > 1
    page.grab()
    theme.set_mode("dark")
    assert page.fits.number.text() != "–", "other colours are no other text"
    page.editor.insertPlainText("s")
    assert page.fits.number.text() == "–"
    assert not heard.failures


def test_other_models_are_refused_in_a_sentence(page: FillMask, session: Session, until: Until) -> None:
    assert page.words.startswith("No model is open")
    open_encoder(page, session, until)
    model = session.chat.model
    assert model is not None
    bare = dataclasses.replace(model, config=dataclasses.replace(model.config, head="none"))
    assert page.refusal(bare) is not None
    assert "cannot fill masks" in page.refusal(bare)[0]  # type: ignore[index]
    decoder = dataclasses.replace(model, config=dataclasses.replace(model.config, topology="decoder-only"))
    assert "encoders" in page.refusal(decoder)[1]  # type: ignore[index]


def test_a_text_that_is_too_long_shows_an_error(page: FillMask, session: Session, until: Until) -> None:
    open_encoder(page, session, until)
    page.editor.setPlainText("[MASK]" + "a" * 80)
    until(lambda: not page.problem.isHidden())
    assert "context takes 64" in page.problem.text()
