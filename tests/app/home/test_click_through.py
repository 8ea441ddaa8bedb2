"""The whole loop in the real window: Home, quick start on a tiny budget, and a reply in the chat."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from terrarium.app.chat.chat_tab import ChatTab
from terrarium.app.chat.conversation.starters import new_starter, starter_kinds
from terrarium.app.home.home import Home
from terrarium.app.home.quickstart_view import CHAT, QuickStartView
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.session import Session
from terrarium.app.shell.main_window import MainWindow
from terrarium.models.events import Event, ReplyFinished
from terrarium.models.inference.reply import ReplyStarted
from terrarium.models.settings.sampling_config import SamplingConfig

Until = Callable[[Callable[[], bool]], None]


@pytest.mark.slow
@pytest.mark.usefixtures("little_quickstart")
def test_from_the_home_screen_to_a_reply(session: Session, theme: ThemeProvider, qtbot: QtBot, until: Until) -> None:
    session.training.quickstart_minutes = 0.001
    window = MainWindow(session, theme)
    qtbot.addWidget(window)
    window.show()
    failures: list[str] = []
    session.notices.failed.connect(lambda sentence, details: failures.append(sentence))
    home = window.pages.page("home")
    assert isinstance(home, Home)
    qtbot.mouseClick(home.quickstart, Qt.MouseButton.LeftButton)
    assert window.pages.current == "quickstart"
    until(lambda: not session.training.active)
    assert not failures
    assert session.training.state is not None
    assert session.training.state.status == "finished"
    evaluated = session.training.state.evaluated
    assert evaluated is not None
    assert 0 <= evaluated.accuracy <= 1
    assert all(kind.n >= 100 for kind in evaluated.kinds)

    view = window.pages.page("quickstart")
    assert isinstance(view, QuickStartView)
    assert view.stepper.current == CHAT
    assert "Facts" in view.accuracy.accessibleName()
    history = session.training.history
    assert [measured.step for measured in history.accuracy] == [0, 8]
    assert view.answers.question.text() == history.accuracy[0].answers[1].question
    qtbot.mouseClick(view.result.chat, Qt.MouseButton.LeftButton)
    assert window.pages.current == "chat"
    until(lambda: session.chat.state == "ready")
    assert session.chat.model is not None
    assert session.chat.model.is_chat_model
    assert isinstance(window.pages.page("chat"), ChatTab)

    heard: list[Event] = []
    session.chat.events_received.connect(heard.extend)
    starter = new_starter(session.chat.model, starter_kinds(session.chat.model)[0])
    session.chat.send([{"role": "user", "content": starter.prompt}], SamplingConfig(max_tokens=8))
    until(lambda: any(isinstance(event, ReplyFinished) for event in heard))
    assert isinstance(heard[0], ReplyStarted)
    window.close()
    assert session.runs.list()[0].status == "finished"
