"""The chat tab, and a model for it that is played by the test."""

from __future__ import annotations

import pytest
from pytestqt.qtbot import QtBot

from terrarium.app.chat.chat_tab import ChatTab
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.session import Session
from tests.app.chat.chat_actor import Actor


@pytest.fixture
def tab(qtbot: QtBot, session: Session, theme: ThemeProvider) -> ChatTab:
    tab = ChatTab(session, theme)
    qtbot.addWidget(tab)
    tab.resize(1280, 650)
    tab.show()
    return tab


@pytest.fixture
def actor(session: Session, tab: ChatTab, monkeypatch: pytest.MonkeyPatch) -> Actor:
    return Actor(session, monkeypatch)
