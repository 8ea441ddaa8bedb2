"""The chat itself: the conversation, or what to do before there is one, above what one writes."""

from __future__ import annotations

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QVBoxLayout, QWidget

from app.chat.archive.message_tree import Message
from app.chat.conversation.composer import Composer
from app.chat.conversation.context_bar import ContextBar
from app.chat.conversation.conversation import Conversation
from app.chat.conversation.empty_pages import ChatPages
from app.chat.conversation.next_prompt import NextPrompt
from app.chat.conversation.starter_bar import StarterBar
from app.chat.conversation.starters import new_starter, starter_kinds
from app.chat.conversation.view import ChatView, in_chat_column
from app.glass.tokens.legend import TokenLegend
from app.kit.basics import label, row
from app.kit.labels import ElidedLabel
from app.kit.layout.tab_order import put_after, stops_in
from app.kit.theme import SPACE, ThemeProvider
from app.session.session import Session

_HINTS = {
    "talk": "Write a message (Shift+Enter: a new line)",
    "text": "Write a beginning: the model goes on from it",
    "answer": "Write a source text: the model answers it",
    "fill": "Write a text with [MASK] where a word is missing",
}
_NO_MODEL, _LOADING = "Choose a model first", "The model is being loaded"


class ChatPage(QWidget):
    """One conversation with the open model.

    Signals:
        newest_asked(): the newest model of the library shall be opened.
        train_asked(): there is none, so one shall be made.
    """

    newest_asked = Signal()
    train_asked = Signal()

    def __init__(
        self,
        session: Session,
        theme: ThemeProvider,
        talk: Conversation,
        next_prompt: NextPrompt,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self._talk, self._next = session, talk, next_prompt
        self._newest = ""
        self.view = ChatView(talk, theme)
        self.pages = ChatPages(self.view, theme)
        self.starters = StarterBar(theme)
        self.composer = Composer(theme)
        self.context = ContextBar(theme, next_prompt)
        self.legend = TokenLegend(theme)
        self._glass = QWidget()
        how = ElidedLabel("Point, click to hold, arrows to walk")
        how.setProperty("role", "caption")
        self._glass.setLayout(row(label("Tokens by", "muted"), self.legend, how))
        self._glass.hide()
        lines = QVBoxLayout(self)
        lines.setContentsMargins(0, 0, 0, 0)
        lines.setSpacing(SPACE)
        lines.addWidget(in_chat_column(self._glass))
        lines.addWidget(self.pages, 1)
        lines.addWidget(in_chat_column(self.starters, self.composer, self.context))
        session.chat.changed.connect(self._show_state)
        session.chat.model_changed.connect(self._show_model)
        self.pages.open_asked.connect(self.newest_asked)
        self.pages.train_asked.connect(self.train_asked)
        self.composer.sent.connect(lambda text: talk.say(Message(content=text)))
        self.composer.edit_asked.connect(self.view.edit_last)
        self.composer.stop_asked.connect(session.chat.stop)
        self.composer.field.textChanged.connect(lambda: next_prompt.set_written(self.composer.field.toPlainText()))
        self.starters.asked.connect(self._on_starter)
        for signal in (talk.chat_changed, talk.path_changed):
            signal.connect(self._on_path)
        talk.reply_ended.connect(self._on_path)
        self._show_model()

    def set_glass(self, is_on: bool) -> None:
        """Whether replies are shown as tokens: then it is said by what these are coloured."""
        self._glass.setVisible(is_on)

    def offer_newest(self, words: str) -> None:
        """What the newest model of the library is called; '' where there is none."""
        self._newest = words
        self.pages.offer(words)
        self._show_page()

    @Slot()
    def _show_model(self) -> None:
        model = self._session.chat.model
        writes = model is not None and model.mode in ("talk", "text")
        self.starters.set_kinds(starter_kinds(model) if writes else ())
        put_after((self.view, *stops_in(self.view))[-1], *stops_in(self.starters))
        self._on_path()
        self._show_state()

    @Slot()
    def _show_state(self) -> None:
        session = self._session
        ready = session.chat.model is not None and session.chat.state == "ready"
        why_not = _LOADING if session.chat.state == "loading" else _NO_MODEL
        self.composer.set_state(can_send=ready, replying=session.chat.state in ("waiting", "replying"), why_not=why_not)
        model = session.chat.model
        self.composer.set_hint(_HINTS[model.mode] if model is not None else why_not)
        self.starters.setEnabled(ready)
        self.view.set_can_reply(ready)
        if session.chat.state == "waiting":
            waits = "Waiting for the training step that is running…" if session.training.active else "Reading…"
            self.view.set_note(waits)
        self._show_page()

    @Slot()
    def _on_path(self) -> None:
        model, leaf = self._session.chat.model, self._talk.chat.leaf
        talks = model is not None and model.talks and leaf is not None
        self._next.set_conversation(self._talk.chat.read_for(leaf.id) if talks and leaf is not None else [])
        self._next.set_prompting(self._talk.chat.prompting)
        self._show_page()

    @Slot()
    def _show_page(self) -> None:
        """The conversation where there is one to see or to begin, else what to do first."""
        model = self._session.chat.model
        if self._talk.chat.messages:
            self.pages.show_page("chat")
        elif self._session.chat.state == "loading":
            self.pages.show_page("loading")
        elif model is not None:
            self.pages.show_page("starters" if model.talks and starter_kinds(model) else model.mode)
        else:
            self.pages.show_page("choose" if self._newest else "train")

    @Slot(str)
    def _on_starter(self, kind: str) -> None:
        model = self._session.chat.model
        assert model is not None
        starter = new_starter(model, kind)
        topic = starter.question.topic or ()
        self._talk.say(Message(content=starter.prompt, kind=starter.kind, gold=starter.gold, topic=topic, fresh=True))
