"""A chat, and a model for it that is played by the test."""

from __future__ import annotations

import pytest
from pytestqt.qtbot import QtBot

from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.session import Session
from tests.app.chat.chat_actor import Actor
from tests.app.chat.conversation.bench import Bench


@pytest.fixture
def bench(qtbot: QtBot, session: Session, theme: ThemeProvider) -> Bench:
    bench = Bench(session, theme)
    qtbot.addWidget(bench)
    bench.resize(1000, 650)
    bench.show()
    return bench


@pytest.fixture
def actor(session: Session, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Actor:
    return Actor(session, monkeypatch)


@pytest.fixture
def asked(bench: Bench, actor: Actor) -> Bench:
    """A chat in which a question was asked and answered."""
    bench.composer.sent.emit("Who is it?")
    actor.reply(" It", " is", " Ben.")
    return bench
