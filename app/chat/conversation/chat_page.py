"""The chat page: the conversation, or a start page if it is empty, above the message field."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from PySide6.QtCore import QEvent, QObject, Signal, Slot
from PySide6.QtWidgets import QFrame, QStackedWidget, QWidget

from terrarium.app.chat.archive.message_tree import Message
from terrarium.app.chat.conversation.chat_view import ChatView, in_chat_column
from terrarium.app.chat.conversation.composer import Composer
from terrarium.app.chat.conversation.context_bar import ContextBar
from terrarium.app.chat.conversation.conversation import Conversation
from terrarium.app.chat.conversation.next_prompt import NextPrompt
from terrarium.app.chat.conversation.starters import new_starter, starter_kinds
from terrarium.app.glass.tokens.legend import TokenLegend
from terrarium.app.kit.basics import EmptyState, button, column, group, label, plain_tip, row, set_enabled
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.layout.flow_layout import FlowLayout
from terrarium.app.kit.layout.tab_order import put_after, stops_in
from terrarium.app.kit.text.highlighter import prepare_colours
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.routes import Go, ShowPlace
from terrarium.app.session.session import Session
from terrarium.app.worker.background import LatestTask

_HINTS = {
    "talk": "Write a message (Shift+Enter: a new line)",
    "text": "Write a beginning for the model to continue",
    "answer": "Write a source text for the model to answer",
    "fill": "Write a text with [MASK] where a word is missing",
}
_LABELS = "labels"
"""The page for models without a language head, which are used on other pages."""
_MARKDOWN = "markdown"
_NO_MODEL, _LOADING = "Choose a model first", "The model is loading"
_NAMES = {
    "knowledge": ("Fact", "A question about a fact of this model's world, in wording not used for it in training"),
    "requests": ("Story", "A story about a person, a thing and a place not combined in training"),
    "reading": ("Reading", "Find one fact among several in the message"),
    "state": ("What changed?", "What is true after a series of events"),
    "sums": ("Sum", "A sum of two numbers below 100, not seen in training"),
    "translation": ("Translation", "A sentence not seen in training, from English to French"),
}


class ChatPage(QWidget):
    """A conversation with the open model.

    Signals:
        newest_requested(): open the newest model of the library.
        model_requested(run_id): open the model that this chat used.
        pointer_left(): the pointer has left the message field and the starters.
    """

    model_requested = Signal(str)
    newest_requested = Signal()
    pointer_left = Signal()

    def __init__(
        self,
        session: Session,
        theme: ThemeProvider,
        conversation: Conversation,
        next_prompt: NextPrompt,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self._conversation, self._next = session, conversation, next_prompt
        self._newest = ""
        self._preparing = LatestTask(self)
        self._preparing.ask(prepare_colours)  # so that the first code block of a reply does not wait for it
        self.view = ChatView(conversation, theme)
        self.view.set_markdown(session.remembered.get(_MARKDOWN, True))
        self.pages = ChatPages(self.view, session.go, theme)
        self.starters = StarterBar(theme)
        self.composer = Composer(theme, next_prompt.problem_of)
        self.setFocusProxy(self.composer.field)
        self.context = ContextBar(theme, next_prompt)
        self.legend = TokenLegend(theme, has_none=True)
        colour_by = label("Colour by", "muted")
        colour_by.setToolTip(
            plain_tip("Point at a token to look into it; a click keeps it, the arrow keys ← → move on")
        )
        self._glass = group(row(colour_by, self.legend, None))
        self._glass.hide()
        self.other = _OtherModel(session, theme, conversation)
        self.other.open_requested.connect(self.model_requested)
        above = in_chat_column(self.other, self._glass)
        self._below = in_chat_column(self.starters, self.composer, self.context)
        self._below.installEventFilter(self)
        self.setLayout(column(above, self.pages, self._below, grows=self.pages))
        self.view.markdown_changed.connect(lambda on: session.remembered.set(_MARKDOWN, on))
        session.chat.changed.connect(self._show_state)
        session.chat.model_changed.connect(self._show_model)
        self.pages.open_requested.connect(self.newest_requested)
        self.composer.sent.connect(lambda text: conversation.say(Message(content=text)))
        next_prompt.changed.connect(self.composer.recheck)
        self.composer.edit_requested.connect(self.view.edit_last)
        self.composer.stop_requested.connect(session.chat.stop)
        self.composer.field.textChanged.connect(lambda: next_prompt.set_draft(self.composer.field.toPlainText()))
        self.starters.picked.connect(self._on_starter)
        for signal in (conversation.chat_changed, conversation.path_changed):
            signal.connect(self._on_path)
        for signal in (conversation.reply_started, conversation.reply_ended):
            signal.connect(self._on_path)
        for signal in (conversation.reply_started, conversation.reply_appended, conversation.reply_ended):
            signal.connect(self._count_reply)
        self._show_model()

    @property
    def is_pointed_at(self) -> bool:
        """Whether the pointer is over the message field or the starters, where nothing should move."""
        return self._below.underMouse()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Leave:
            self.pointer_left.emit()
        return super().eventFilter(watched, event)

    def set_glass(self, is_on: bool) -> None:
        """Show the legend of token colours while replies are shown as tokens."""
        self._glass.setVisible(is_on)

    def offer_newest(self, words: str) -> None:
        """Set the name of the newest model of the library, which the start page offers; '' if there is none."""
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
        self.composer.set_hint(_HINTS.get(model.mode, "") if model is not None else why_not)
        set_enabled(self.starters, "" if ready else why_not)
        self.view.set_can_reply(ready)
        if session.chat.state == "waiting":
            waits = "Waiting for the current training step…" if session.training.active else "Reading…"
            self.view.set_note(waits)
        self._show_page()

    @Slot()
    def _count_reply(self) -> None:
        self.context.show_reply(self._conversation.progress[0])

    @Slot()
    def _on_path(self) -> None:
        model, leaf = self._session.chat.model, self._conversation.chat.leaf
        is_chat = model is not None and model.is_chat_model and leaf is not None
        self._next.set_conversation(self._conversation.chat.read_for(leaf.id) if is_chat and leaf is not None else [])
        made = leaf.generation if leaf is not None else None
        continues = model is not None and model.mode == "text" and made is not None and made.run_id == model.run_id
        self._next.set_text((*made.prompt_ids, *made.ids) if made is not None and continues else ())
        self._next.set_prompting(self._conversation.chat.prompting)
        self._show_page()

    @Slot()
    def _show_page(self) -> None:
        """Show the conversation, or the start page while it is empty."""
        model = self._session.chat.model
        if self._conversation.chat.messages:
            self.pages.show_page("chat")
        elif self._session.chat.state == "loading":
            self.pages.show_page("loading")
        elif model is not None:
            page = model.mode if model.mode in _HINTS else _LABELS
            self.pages.show_page("starters" if model.is_chat_model and starter_kinds(model) else page)
        else:
            self.pages.show_page("choose" if self._newest else "train")

    @Slot(str)
    def _on_starter(self, kind: str) -> None:
        model = self._session.chat.model
        assert model is not None
        starter = new_starter(model, kind)
        topic = starter.question.topic or ()
        self._conversation.say(
            Message(content=starter.prompt, kind=starter.kind, gold=starter.gold, topic=topic, fresh=True)
        )


class StarterBar(QWidget):
    """A row of buttons that draw new questions of the kinds that the model can answer; it wraps if it is narrow.

    Signals:
        picked(kind): the user wants a new question of this kind.
    """

    picked = Signal(str)

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._kinds: tuple[str, ...] = ()
        self._layout = FlowLayout(self, SPACE // 2)
        caption = label("Try", "muted")
        caption.setToolTip(
            plain_tip("Each draws a new question that was held out of training; the right answer is known")
        )
        self._layout.addWidget(caption)
        self.hide()

    def set_kinds(self, kinds: Sequence[str]) -> None:
        """Set the kinds to offer; the row is hidden if there are none."""
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
            chip = button(name, self._theme, lambda kind=kind: self.picked.emit(kind), tip=tip)  # type: ignore[misc]
            chip.setProperty("kind", kind)
            self._layout.addWidget(chip)


class ChatPages(QStackedWidget):
    """A stack of pages: "chat"; for an empty chat "starters", or by the model's mode "talk", "text", "answer", "fill",
    "labels"; "loading"; "choose"; "train".

    Signals:
        open_requested(): open the newest model.
    """

    open_requested = Signal()

    def __init__(self, chat: QWidget, go: Go, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.open = button("Open", theme, self.open_requested.emit, icon="chat-circle", role="primary")
        self.open.setToolTip("Load its latest checkpoint; of a model in training, its weights at each reply")
        self.train = button("Train a model", theme, partial(go, ShowPlace("training")), icon="play", role="primary")
        self.train.setToolTip("Go to the Training tab")
        self._pages = {
            "chat": chat,
            "talk": EmptyState(
                "Begin a conversation",
                "Write a message below. The panels on the right show how each word of the reply is chosen.",
            ),
            "starters": EmptyState(
                "Ask it something new",
                "The buttons below draw questions and requests that were held out of training, and know the right "
                "answers. Or write your own.",
            ),
            "text": EmptyState(
                "Begin a text", "This model was trained on plain text: it continues whatever you write below."
            ),
            "answer": EmptyState(
                "Write a source text",
                "An encoder-decoder reads all of it, then writes a text of its own. Trained here, it fills gaps: "
                "write <|extra_0|> where words are missing.",
            ),
            "fill": EmptyState(
                "Hide a word",
                "An encoder sees the whole text at once: write [MASK] where a word is missing, and it ranks what "
                "fits there.",
            ),
            _LABELS: EmptyState(
                "This model writes no text", "It gives labels, tags or places in a text: use its page above."
            ),
            "loading": EmptyState("The model is loading", "You can type now; send once the model has loaded."),
            "choose": EmptyState(
                "Choose a model",
                "Pick one above. A run replies from its latest checkpoint, a model in training as it is by then.",
                self.open,
            ),
            "train": EmptyState(
                "No models yet",
                "Train a model to chat with. A small one takes minutes.",
                self.train,
            ),
        }
        for page in self._pages.values():
            self.addWidget(page)

    def show_page(self, name: str) -> None:
        """Show the page with this name."""
        self.setCurrentWidget(self._pages[name])

    def offer(self, words: str) -> None:
        """Set the name of the newest model; '' if there is none."""
        self.open.setText(f"Open {words}")
        self.open.setVisible(bool(words))


class _OtherModel(QFrame):
    """A banner shown while the open model is not the one that the chat last used, if that one still exists.

    Signals:
        open_requested(run_id): open that model.
    """

    open_requested = Signal(str)

    def __init__(
        self, session: Session, theme: ThemeProvider, conversation: Conversation, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._session, self._conversation = session, conversation
        self.setProperty("role", "banner")
        self._known = ("", "")  # id and name of the run that was looked up last
        self.words = ElidedLabel()
        self.open = button("", theme, self._on_open, icon="chat-circle", tip="Its replies can be inspected then")
        margin = (SPACE + SPACE // 2, SPACE // 2, SPACE // 2, SPACE // 2)
        self.setLayout(row(self.words, self.open, grows=self.words, margin=margin))
        session.chat.changed.connect(self.refresh)
        session.chat.model_changed.connect(self.refresh)
        session.runs.changed.connect(self._on_runs)
        for signal in (conversation.chat_changed, conversation.path_changed):
            signal.connect(self.refresh)
        self.refresh()

    @Slot()
    def _on_runs(self) -> None:
        self._known = ("", "")
        self.refresh()

    @Slot()
    def refresh(self) -> None:
        """Show or hide the banner."""
        chat, model = self._conversation.chat, self._session.chat.model
        is_another = bool(chat.messages and chat.run_id) and (model is None or model.run_id != chat.run_id)
        name = self._name_of(chat.run_id) if is_another and self._session.chat.state != "loading" else ""
        self.setVisible(bool(name))
        if name:
            now = f"; “{model.name}” is open now" if model is not None else ""
            self.words.setText(f"This chat was held with “{name}”{now}.")
            self.open.setText(f"Open “{name}”")

    def _name_of(self, run_id: str) -> str:
        """Return the name of a run, "" if the run no longer exists."""
        if self._known[0] != run_id:
            self._known = run_id, self._session.runs.find(run_id).name if self._session.runs.has(run_id) else ""
        return self._known[1]

    def _on_open(self) -> None:
        self.open_requested.emit(self._conversation.chat.run_id)
