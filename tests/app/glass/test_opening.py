"""Every panel opens on the token that a text starts with, and says something about it in one sentence."""

from __future__ import annotations

import dataclasses

import pytest
from pytestqt.qtbot import QtBot
from tokenizers import Tokenizer

from terrarium.app.glass.ablation.inputs_panel import InputsPanel
from terrarium.app.glass.answer_panel import AnswerPanel
from terrarium.app.glass.focus import Focus
from terrarium.app.help.panels import PANELS, Panel
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.session import Session
from tests.app.glass.opened import open_random, text_of
from tests.app.heard import Until

FOLLOWERS = [panel for panel in PANELS.values() if panel.follows == "token"]


@pytest.mark.parametrize("entry", FOLLOWERS, ids=lambda entry: entry.key)
@pytest.mark.parametrize("design", ["terrarium-tiny", "bert-tiny", "t5-tiny"])
def test_it_opens_on_the_start_and_says_so(
    qtbot: QtBot,
    session: Session,
    theme: ThemeProvider,
    focus: Focus,
    byte_tokenizer: Tokenizer,
    until: Until,
    entry: Panel,
    design: str,
) -> None:
    panel: AnswerPanel = entry.load()(session, theme, focus)
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
