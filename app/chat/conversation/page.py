"""The chat itself: the conversation, or what to do before there is one, above what one writes."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QStackedWidget, QVBoxLayout, QWidget

from app.chat.archive.message_tree import Message
from app.chat.conversation.composer import Composer
from app.chat.conversation.context_bar import ContextBar
from app.chat.conversation.conversation import Conversation
from app.chat.conversation.next_prompt import NextPrompt
from app.chat.conversation.starters import new_starter, starter_kinds
from app.chat.conversation.view import ChatView, in_chat_column
from app.glass.tokens.legend import TokenLegend
from app.kit.basics import EmptyState, button, label, row
from app.kit.labels import ElidedLabel
from app.kit.layout.flow_layout import FlowLayout
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


_NAMES = {
    "knowledge": ("Fact", "A question about a fact of this model's world, in words never seen with that fact"),
    "requests": ("Story", "A story about somebody, a thing and a place that never occurred together"),
    "reading": ("Reading", "One fact among several in the message"),
    "state": ("Events", "What is so after events that changed it"),
    "sums": ("Sum", "A sum of two numbers below 100 that was never seen"),
    "translation": ("Translation", "A sentence never seen, from English to French"),
}


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
        is_chat = model is not None and model.is_chat_model and leaf is not None
        self._next.set_conversation(self._talk.chat.read_for(leaf.id) if is_chat and leaf is not None else [])
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
            self.pages.show_page("starters" if model.is_chat_model and starter_kinds(model) else model.mode)
        else:
            self.pages.show_page("choose" if self._newest else "train")

    @Slot(str)
    def _on_starter(self, kind: str) -> None:
        model = self._session.chat.model
        assert model is not None
        starter = new_starter(model, kind)
        topic = starter.question.topic or ()
        self._talk.say(Message(content=starter.prompt, kind=starter.kind, gold=starter.gold, topic=topic, fresh=True))


class StarterBar(QWidget):
    """Buttons that draw a new question or request of a kind that the model can do: a row.

    Two, where there is little room.

    Signals:
        asked(kind): the user wants a new one of this kind.
    """

    asked = Signal(str)

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._kinds: tuple[str, ...] = ()
        self._layout = FlowLayout(self, SPACE // 2)
        caption = label("Try", "muted")
        caption.setToolTip("Each draws a new question that was kept out of training; the right answer is known")
        self._layout.addWidget(caption)
        self.hide()

    def set_kinds(self, kinds: Sequence[str]) -> None:
        """Offer these kinds; none hides the row."""
        self.setVisible(bool(kinds))
        if tuple(kinds) == self._kinds:
            return
        self._kinds = tuple(kinds)
        while self._layout.count() > 1:
            item = self._layout.takeAt(1)
            widget = item.widget() if item is not None else None
            if widget is not None:
                widget.deleteLater()
        for kind in kinds:
            name, tip = _NAMES.get(kind, (kind.capitalize(), ""))
            chip = button(name, self._theme, lambda kind=kind: self.asked.emit(kind), tip=tip)  # type: ignore[misc]
            chip.setProperty("kind", kind)
            self._layout.addWidget(chip)


class ChatPages(QStackedWidget):
    """Shows one page: "chat"; where that is empty "starters", or by the model's mode "talk", "text", "answer", "fill";
    "loading"; "choose"; "train".

    Signals:
        open_asked(): open the newest model.
        train_asked(): make a model.
    """

    open_asked = Signal()
    train_asked = Signal()

    def __init__(self, chat: QWidget, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.open = button("Open", theme, self.open_asked.emit, icon="chat-circle", role="primary")
        self.open.setToolTip("Load the latest checkpoint of the newest run")
        self.train = button("Train a model", theme, self.train_asked.emit, icon="play", role="primary")
        self.train.setToolTip("Go to the Training tab")
        self._pages = {
            "chat": chat,
            "talk": EmptyState(
                "Begin a conversation",
                "Write a message below. The panels on the right show how each word of the reply comes about.",
            ),
            "starters": EmptyState(
                "Ask it something new",
                "The buttons below draw questions and requests that were kept out of training, and know the right "
                "answers. Or write your own.",
            ),
            "text": EmptyState(
                "Begin a text", "This model was trained on plain text: it goes on from whatever you write below."
            ),
            "answer": EmptyState(
                "Write a source text",
                "An encoder-decoder reads it whole, and answers with a text of its own. Trained here, it fills gaps: "
                "write <|extra_0|> where words are missing.",
            ),
            "fill": EmptyState(
                "Hide a word",
                "An encoder sees the whole text at once: write [MASK] where a word is missing, and it ranks what might "
                "stand there.",
            ),
            "loading": EmptyState(
                "The model is being loaded", "You can write meanwhile, and send it when the model is there."
            ),
            "choose": EmptyState(
                "Choose a model",
                "Pick one above: each run of your library can talk from its latest checkpoint.",
                self.open,
            ),
            "train": EmptyState(
                "Nobody to talk to yet",
                "A model must be trained before it can talk. A small one takes minutes.",
                self.train,
            ),
        }
        for page in self._pages.values():
            self.addWidget(page)

    def show_page(self, name: str) -> None:
        """Show the page of that name."""
        self.setCurrentWidget(self._pages[name])

    def offer(self, words: str) -> None:
        """What the newest model is called; '' where there is none."""
        self.open.setText(f"Open {words}")
        self.open.setVisible(bool(words))
