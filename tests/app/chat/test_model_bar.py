"""The bar above the chat: what it says of the open model."""

from __future__ import annotations

import dataclasses

from pytestqt.qtbot import QtBot
from tokenizers import Tokenizer

from app.chat.model_bar import ModelBar
from app.kit.theme import ThemeProvider
from app.session.chat import ModelOpened
from app.session.session import Session
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
