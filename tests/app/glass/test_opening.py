"""Every panel opens on the token that a text starts with, and says something about it in one sentence."""

from __future__ import annotations

import dataclasses

import pytest
from pytestqt.qtbot import QtBot
from tokenizers import Tokenizer

from terrarium.app.glass.ablation.ablation_panel import AblationPanel
from terrarium.app.glass.ablation.inputs_panel import InputsPanel
from terrarium.app.glass.answer_panel import AnswerPanel
from terrarium.app.glass.attention.attention_panel import AttentionPanel
from terrarium.app.glass.focus import Focus
from terrarium.app.glass.layers.lens_panel import LensPanel
from terrarium.app.glass.next_token.next_token_panel import NextTokenPanel
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.session import Session
from terrarium.app.whole_pass.pass_panel import PassPanel
from tests.app.glass.opened import open_random, text_of
from tests.app.heard import Until

PANELS = (PassPanel, NextTokenPanel, AttentionPanel, LensPanel, AblationPanel, InputsPanel)


@pytest.mark.parametrize("panel_class", PANELS)
@pytest.mark.parametrize("design", ["terrarium-tiny", "bert-tiny", "t5-tiny"])
def test_it_opens_on_the_start_and_says_so(
    qtbot: QtBot,
    session: Session,
    theme: ThemeProvider,
    focus: Focus,
    byte_tokenizer: Tokenizer,
    until: Until,
    panel_class: type[AnswerPanel],
    design: str,
) -> None:
    panel = panel_class(session, theme, focus)  # type: ignore[call-arg]
    qtbot.addWidget(panel)
    panel.show()
    _, tokenizer = open_random(session, design, byte_tokenizer)
    read = text_of(tokenizer, "the cat sat", 4, "a source" if design == "t5-tiny" else "")
    focus.show(dataclasses.replace(read, start=6))
    assert "Point at" not in panel.message

    def is_done() -> bool:  # before that, the sentence of Inputs may change
        return not panel.examiner.busy and not (isinstance(panel, InputsPanel) and panel.measuring.busy)

    until(lambda: not panel.message and bool(panel.sentence.text()) and is_done())
    assert focus.locked is None
    assert panel.opening.isVisible()
    first = panel.sentence.text()
    focus.lock(8)
    until(lambda: is_done() and not panel.opening.isVisible())
    assert panel.sentence.isVisible()
    focus.unlock()
    until(lambda: is_done() and panel.opening.isVisible() and panel.sentence.text() == first)
    focus.show(None)
    assert not panel.sentence.text()
