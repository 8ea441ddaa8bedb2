"""The parts of a chat, put together for tests."""

from __future__ import annotations

from PySide6.QtWidgets import QHBoxLayout, QWidget

from terrarium.app.chat.archive.message_tree import Message
from terrarium.app.chat.conversation.chat_list import ChatList
from terrarium.app.chat.conversation.chat_view import ChatView
from terrarium.app.chat.conversation.composer import Composer
from terrarium.app.chat.conversation.conversation import Conversation
from terrarium.app.chat.conversation.message_view import MessageView
from terrarium.app.kit.basics import column
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.session import Session


class Bench(QWidget):
    """The parts of a chat, put together."""

    def __init__(self, session: Session, theme: ThemeProvider) -> None:
        super().__init__()
        self.theme = theme
        self.conversation = conversation = Conversation(session, self)
        self.chats = ChatList(conversation, theme)
        self.view = ChatView(conversation, theme)
        self.composer = Composer(theme)
        self.composer.sent.connect(lambda text: conversation.say(Message(content=text)))
        self.composer.edit_requested.connect(self.view.edit_last)
        layout = QHBoxLayout(self)
        layout.addWidget(self.chats)
        layout.addLayout(column(self.view, self.composer))
        session.chat.changed.connect(self._show_state)
        self._session = session

    def _show_state(self) -> None:
        state = self._session.chat.state
        self.composer.set_state(can_send=state == "ready", replying=state in ("waiting", "replying"))
        self.view.set_can_reply(state == "ready")


def texts(bench: Bench) -> list[str]:
    return [view.bubble.text for view in bench.view.messages]


def last(bench: Bench) -> MessageView:
    return bench.view.messages[-1]
