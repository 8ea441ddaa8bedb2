"""The bar above the chat: what it says of the open model."""

from __future__ import annotations

import dataclasses

from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot
from tokenizers import Tokenizer

from terrarium.app.chat.model_bar import ModelBar
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.chat import ModelOpened
from terrarium.app.session.session import Session
from tests.app.glass.opened import open_random


def test_an_encoder_without_a_head_says_what_it_is_for(
    qtbot: QtBot, session: Session, theme: ThemeProvider, byte_tokenizer: Tokenizer
) -> None:
    bar = ModelBar(session, theme)
    qtbot.addWidget(bar)
    _, tokenizer = open_random(session, "bert-tiny", byte_tokenizer)
    assert not bar.world.isVisibleTo(bar)
    model = session.chat.model
    assert model is not None
    headless = dataclasses.replace(model, mode="vectors")
    session.chat.set_model(ModelOpened(model=headless, tokenizer=tokenizer, loaded=None))
    assert bar.world.isVisibleTo(bar)
    assert "fine-tune it to give labels" in bar.world.text()
    assert bar.tune.isVisibleTo(bar)


def test_the_buttons_stand_in_the_first_line_where_nothing_else_needs_a_second_one(
    qtbot: QtBot, session: Session, theme: ThemeProvider, byte_tokenizer: Tokenizer
) -> None:
    bar = ModelBar(session, theme)
    qtbot.addWidget(bar)
    bar.resize(1200, 80)
    bar.show()
    _, tokenizer = open_random(session, "bert-tiny", byte_tokenizer)
    qtbot.waitUntil(lambda: bar.tune.height() > 0 and middle(bar.tune, bar) == middle(bar.picker, bar))
    model = session.chat.model
    assert model is not None
    headless = dataclasses.replace(model, mode="vectors")
    session.chat.set_model(ModelOpened(model=headless, tokenizer=tokenizer, loaded=None))
    qtbot.waitUntil(lambda: middle(bar.tune, bar) == middle(bar.world, bar))
    session.chat.set_model(ModelOpened(model=model, tokenizer=tokenizer, loaded=None))
    bar.resize(420, 80)
    qtbot.waitUntil(lambda: middle(bar.tune, bar) > middle(bar.picker, bar) + 4)


def middle(widget: QWidget, bar: ModelBar) -> int:
    """How far down its middle stands, in steps of four pixels."""
    return round(widget.mapTo(bar, widget.rect().center()).y() / 4)
