"""News for screen readers: told once they have settled, and only of what is visible."""

from __future__ import annotations

import pytest
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from terrarium.app.chat.archive.message_tree import Message
from terrarium.app.chat.chat_tab import ChatTab
from terrarium.app.kit.announcer import Announcer
from terrarium.app.kit.basics import label
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.session import Session
from terrarium.app.shell.main_window import MainWindow
from terrarium.models.settings.run_spec import RunSpec
from tests.app.heard import Told, Until


def test_sentences_that_follow_one_another_are_told_at_once_and_each_only_once(
    qtbot: QtBot, told: Told, until: Until
) -> None:
    widget = QWidget()
    qtbot.addWidget(widget)
    widget.show()
    news = Announcer(widget)
    for sentence in ("One.", "Two.", "One."):
        news.say(sentence)
    assert told == []
    until(lambda: bool(told))
    assert told == [("One. Two.", False)]


def test_a_problem_is_told_when_it_has_settled_and_not_of_a_hidden_form(qtbot: QtBot, told: Told, until: Until) -> None:
    seen, hidden = label("", "error"), label("", "error")
    for each in (seen, hidden):
        qtbot.addWidget(each)
    seen.show()
    for words in ("The name is empty.", "", "The name is taken.", "The name is taken."):
        seen.setText(words)
        hidden.setText(words)
    until(lambda: bool(told))
    assert told == [("The name is taken.", True)]


@pytest.mark.slow
def test_the_window_tells_messages_the_end_of_a_training_and_replies(
    session: Session, theme: ThemeProvider, tiny_spec: RunSpec, qtbot: QtBot, told: Told, until: Until
) -> None:
    window = MainWindow(session, theme)
    qtbot.addWidget(window)
    window.show()
    session.notices.say("Copied.")
    until(lambda: ("Copied.", False) in told)
    session.training.start(tiny_spec)
    until(lambda: ("The training of “tiny” is finished.", False) in told)
    window.show_tab("chat")
    chat = window.pages.page("chat")
    assert isinstance(chat, ChatTab)
    session.chat.open(session.runs.list()[0].id)
    until(lambda: session.chat.state == "ready")
    chat.sampling.sliders["max_tokens"].set_value(4)
    chat.conversation.say(Message(content="The cat"))
    until(lambda: any(sentence.startswith("Reply: ") for sentence, _ in told))
    window.quit()
