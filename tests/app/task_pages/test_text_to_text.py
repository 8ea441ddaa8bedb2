"""The text-to-text page: beam search with scores, drawing, gaps, and stopping."""

from __future__ import annotations

import pytest
from pytestqt.qtbot import QtBot
from tokenizers import Tokenizer

from terrarium.app.glass.focus import Focus
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.session import Session
from terrarium.app.task_pages.text_to_text import TextToText
from terrarium.models.library.library import Library
from terrarium.models.settings.sampling_config import SamplingConfig
from tests.app.heard import Heard, Told, Until
from tests.app.small_models import put_model


@pytest.fixture
def page(
    session: Session, theme: ThemeProvider, library: Library, byte_tokenizer: Tokenizer, qtbot: QtBot, until: Until
) -> TextToText:
    put_model(library, byte_tokenizer, "encoder-decoder")
    page = TextToText(session, theme, Focus())
    page.draw = lambda: SamplingConfig(max_tokens=5, seed=3)
    qtbot.addWidget(page)
    page.resize(900, 600)
    page.show()
    assert page.words.startswith("No model is open")
    session.chat.open("encoder-decoder")
    until(lambda: session.chat.state == "ready")
    return page


def test_beam_search(page: TextToText, heard: Heard, told: Told, until: Until) -> None:
    assert not page.write.isEnabled()
    page.source.insertPlainText("The ")
    page.insert.click()
    page.source.insertPlainText(" sat ")
    page.insert.click()
    assert page.source.toPlainText() == "The <|extra_0|> sat <|extra_1|>"
    page.n_beam.setValue(3)
    page.write.click()
    until(lambda: page.searched is not None)
    assert page.searched is not None
    scores = [found.score for found in page.searched.found]
    assert len(scores) == 3
    assert scores == sorted(scores, reverse=True)
    assert len(page.hypotheses.cards) == 3
    best = page.searched.found[0].text
    until(lambda: told == [(f"Target: {best}", False)])
    text = page.focus.text
    assert text is not None
    assert text.ids[1:] == page.searched.found[0].ids
    assert "⟨extra_0⟩" in text.source_words
    page.hypotheses.cards[2].pressed.emit(2)
    assert page.focus.text is not None
    assert page.focus.text.ids[1:] == page.searched.found[2].ids
    page.grab()
    assert not heard.failures


def test_sampling(page: TextToText, session: Session, heard: Heard, told: Told, until: Until) -> None:
    page.source.setPlainText("The cat")
    page.way.choose("draw")
    page.way.changed.emit("draw")
    assert page.beams.isHidden()
    page.write.click()
    until(lambda: page.focus.text is not None)
    text, written = page.focus.text, page.reply.written
    assert text is not None
    assert written is not None
    assert (text.n_prompt, len(text.ids)) == (1, 1 + len(written.tokens))
    assert page.target.text() == written.text
    until(lambda: told == [(f"Target: {written.text}", False)])
    assert text.sampling.seed == 3
    other = 5 + ord("x")
    page.focus.branch_requested.emit(2, other)
    until(lambda: page.focus.text is not text)
    branched = page.focus.text
    assert branched is not None
    assert branched.ids[:3] == (*text.ids[:2], other)
    assert "x" in page.target.text()
    assert page.drawn_tokens.tokens.values[1] is None, "what was chosen was not drawn"
    page.grab()
    assert session.chat.state == "ready"
    assert not heard.failures


def test_decoders_are_refused(page: TextToText, session: Session, library: Library, byte_tokenizer: Tokenizer) -> None:
    put_model(library, byte_tokenizer, "decoder-only")
    assert page.words == ""
    session.chat.close_model()
    assert page.words.startswith("No model is open")
