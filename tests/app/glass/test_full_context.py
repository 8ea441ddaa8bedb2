"""A reply that ends because the context is full: its last token was drawn, but has no place in the context."""

from __future__ import annotations

import pytest
from pytestqt.qtbot import QtBot
from tokenizers import Tokenizer

from terrarium.app.glass.answer_panel import AnswerPanel
from terrarium.app.glass.attention.attention_panel import AttentionPanel
from terrarium.app.glass.focus import Focus
from terrarium.app.help.panels import PANELS, Panel
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.session import Session
from tests.app.glass.opened import open_random, text_of
from tests.app.heard import Until


@pytest.mark.parametrize("entry", [each for each in PANELS.values() if each.follows == "token"], ids=lambda e: e.key)
@pytest.mark.parametrize("design", ["gpt2-tiny", "t5-tiny"])
def test_a_reply_that_fills_the_context_can_be_inspected(
    entry: Panel,
    design: str,
    qtbot: QtBot,
    session: Session,
    theme: ThemeProvider,
    focus: Focus,
    byte_tokenizer: Tokenizer,
    until: Until,
) -> None:
    model, tokenizer = open_random(session, design, byte_tokenizer)
    full = "the cat sat on the mat, and so on"[: model.config.context_length + 1]
    panel: AnswerPanel = entry.load()(session, theme, focus)
    qtbot.addWidget(panel)
    panel.resize(460, 900)
    panel.show()
    focus.show(text_of(tokenizer, full, 10, "a source" if design == "t5-tiny" else ""))
    focus.lock(len(full) - 1)
    until(lambda: not panel.examiner.busy)
    assert not panel.message
    panel.grab()
    if isinstance(panel, AttentionPanel):
        assert int(panel.stack.rows[-1]) == model.config.context_length
        assert "the context was full" in panel.detail.row_caption.text()
        panel.detail.which_row.choose("own")
        panel.detail.which_row.changed.emit("own")
        assert "the context was full" in panel.detail.row_caption.text()
        panel.numbers()()
