"""The chat tab: talk to a model of the library, or to the one in training as it is at this step."""

from __future__ import annotations

from PySide6.QtCore import Qt, Slot
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QSplitter, QVBoxLayout, QWidget

from app.chat_control import LIVE, ChatModel
from app.chat_store import Chat, Turn
from app.conversation import Conversation
from app.session import Session
from app.theme import SPACE, ThemeProvider
from app.widgets.basics import button, frame, label, row
from app.widgets.chat_pages import ChatPages
from app.widgets.chat_view import ChatView, in_chat_column
from app.widgets.composer import Composer
from app.widgets.elided_label import ElidedLabel
from app.widgets.item_list import Item, ItemList
from app.widgets.model_picker import ModelPicker
from app.widgets.sampling_panel import SamplingPanel
from app.widgets.scrolling import scrolling
from app.widgets.starter_bar import StarterBar
from app.widgets.words import date_words, percent, short_count
from models.inference.settings import SamplingConfig

_HINTS = {
    "talk": "Write a message (Shift+Enter: a new line)",
    "text": "Write a beginning: the model goes on from it",
    "answer": "Write a source text: the model answers it",
    "fill": "Write a text with [MASK] where a word is missing",
}
_NO_MODEL = "Choose a model first"
_TALK_TEMPERATURE, _TEXT_TEMPERATURE = 0.3, 0.8  # answers should be right, texts should not go round in circles


class ChatTab(QWidget):
    """Left the conversations, in the middle one of them, right how replies are drawn."""

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session, self._theme = session, theme
        self.talk = Conversation(session, self)
        self._live_name = ""
        self._model_shown: ChatModel | None = None
        self.setProperty("role", "page")
        self.list = ItemList("Chats", theme)
        self.models = ModelPicker()
        self.model_note = ElidedLabel()
        self.world_note = label("", "muted", wrap=True)
        self.view = ChatView(theme)
        self.starters = StarterBar(theme)
        self.composer = Composer(theme)
        self.sampling = SamplingPanel(theme)
        self.pages = ChatPages(self.view, theme)
        self._build()
        self._connect()
        self.composer.set_hint(_NO_MODEL)
        self._show_chats()
        self._show_models()
        self._on_model_changed()

    # -- layout --------------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        splitter = QSplitter(Qt.Orientation.Horizontal)
        splitter.setChildrenCollapsible(False)
        for panel in (self._chats_panel(), self._centre(), self._sampling_panel()):
            splitter.addWidget(panel)
        splitter.setStretchFactor(1, 1)
        splitter.setSizes([210, 800, 290])
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2 * SPACE, 2 * SPACE, 2 * SPACE, 2 * SPACE)
        layout.addWidget(splitter)

    def _chats_panel(self) -> QWidget:
        panel = frame("card")
        panel.setMinimumWidth(180)
        lines = panel.layout()
        assert isinstance(lines, QVBoxLayout)
        new = button("New chat", self._theme, self.new_chat, icon="plus", tip="Start an empty conversation (Ctrl+N)")
        lines.addWidget(new)
        lines.addWidget(self.list, 1)
        return panel

    def _centre(self) -> QWidget:
        self.world_note.setToolTip("What the model was trained on")
        self.model_note.setProperty("role", "muted")
        model = QWidget()
        model.setLayout(row(self.models, self.model_note))
        panel = QWidget()
        lines = QVBoxLayout(panel)
        lines.setContentsMargins(SPACE, 0, SPACE, 0)
        lines.setSpacing(SPACE)
        lines.addWidget(in_chat_column(model, self.world_note))
        lines.addWidget(self.pages, 1)
        lines.addWidget(in_chat_column(self.starters, self.composer))
        return panel

    def _sampling_panel(self) -> QWidget:
        panel = frame("card")
        lines = panel.layout()
        assert lines is not None
        lines.addWidget(scrolling(self.sampling))
        return panel

    def _connect(self) -> None:
        session = self._session
        session.chat_changed.connect(self._on_model_changed)
        session.runs_changed.connect(self._show_models)
        session.training_changed.connect(self._on_training_changed)
        session.library_changed.connect(self._show_chats)
        self.models.picked.connect(self._on_model_picked)
        self.pages.open_asked.connect(lambda: self._on_model_picked(self.models.newest_run[0]))
        self.pages.train_asked.connect(lambda: session.tab_requested.emit("training"))
        self.list.chosen.connect(self._on_chat_chosen)
        self.list.delete_asked.connect(self._on_delete)
        self.composer.sent.connect(lambda text: self.say(Turn(prompt=text)))
        self.composer.stop_asked.connect(session.stop_chat)
        self.starters.asked.connect(self._on_starter)
        self.view.retry_asked.connect(self._on_retry)
        self.view.version_asked.connect(self._on_version)
        talk = self.talk
        talk.chat_changed.connect(self._on_chat_changed)
        talk.turn_added.connect(self._on_turn_added)
        talk.reply_began.connect(self._on_reply_began)
        talk.reply_grew.connect(self._on_reply_grew)
        talk.reply_ended.connect(self._on_reply_ended)
        talk.saved.connect(self._show_chats)
        new = QShortcut(QKeySequence(QKeySequence.StandardKey.New), self, self.new_chat)
        new.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)

    # -- models --------------------------------------------------------------------------------------------------------

    @Slot()
    def _on_training_changed(self) -> None:
        # Comes with every step: the list is only read again where there is another training, or none any more.
        if self._training_name() != self._live_name:
            self._show_models()

    def _training_name(self) -> str:
        state = self._session.training
        return state.name if state is not None and self._session.training_active and state.step > 0 else ""

    @Slot()
    def _show_models(self) -> None:
        self._live_name = self._training_name()
        session, model = self._session, self._session.chat_model
        runs = [
            run
            for run in session.list_runs()
            if (run.step > 0 or run.status == "imported") and not run.problem and not session.is_current(run.id)
        ]
        which, step = (model.which, model.step) if model is not None else ("", None)
        self.models.set_choices(runs, self._live_name, which, step)
        self._show_page()

    @Slot()
    def _on_model_changed(self) -> None:
        session, model = self._session, self._session.chat_model
        loading, busy = session.chat_state == "loading", session.chat_state in ("waiting", "replying")
        if model is None:
            self.model_note.setText(self._loading_words() if loading else "")
        else:
            where = f"{short_count(model.n_parameters)} parameters, on {model.device}"
            at_step = f"step {model.step:,}, " if model.which == LIVE else ""
            self.model_note.setText(self._loading_words() if loading else at_step + where)
            self.sampling.set_context_length(model.context_length)
        if model is not self._model_shown:
            self._model_shown = model
            self._show_models()
            self.world_note.setText(session.world_words)
            self.starters.set_kinds(session.starter_kinds)
            self.sampling.setEnabled(model is None or model.mode != "fill")
            self.sampling.suggest(_TALK_TEMPERATURE if model is not None and model.talks else _TEXT_TEMPERATURE)
            self.composer.set_hint(_NO_MODEL if model is None else _HINTS[model.mode])
        self.world_note.setVisible(bool(self.world_note.text()))
        ready = model is not None and session.chat_state == "ready"
        self.composer.set_state(can_send=ready, replying=busy)
        self.starters.setEnabled(ready)
        self.view.set_can_retry(ready)
        if session.chat_state == "waiting" and self.view.turns:
            waits = "Waiting for the training step that is running…" if session.training_active else "Reading…"
            self.view.turns[-1].set_note(waits)
        self._show_page()

    def _loading_words(self) -> str:
        share = self._session.loaded_share
        return f"Loading… {percent(share)}" if share else "Loading…"

    def _show_page(self) -> None:
        """The conversation where there is one to see or to begin, else what to do first."""
        model = self._session.chat_model
        if self.talk.chat.turns or self._session.chat_state == "loading":
            self.pages.show_page("chat")
        elif model is not None:
            self.pages.show_page(model.mode)
        else:
            self.pages.show_page("choose" if self.models.count() else "train")
        self.pages.offer(self.models.newest_run[1])

    @Slot(str)
    def _on_model_picked(self, which: str) -> None:
        def open_it() -> None:
            if not self._session.open_chat_model(which):
                self._show_models()

        self.talk.when_free(open_it)

    # -- conversations -------------------------------------------------------------------------------------------------

    @Slot()
    def _show_chats(self) -> None:
        talk = self.talk
        self.list.set_items([_chat_item(chat_id, chat) for chat_id, chat in talk.store.list()], talk.chat.id)

    @Slot()
    def _on_chat_changed(self) -> None:
        self.view.set_chat(self.talk.chat)
        self._show_chats()
        self._show_page()
        self.composer.field.setFocus()

    def new_chat(self) -> None:
        """Start an empty conversation; the one before is kept."""
        self.talk.when_free(lambda: self.talk.open(Chat()))

    @Slot(str)
    def _on_chat_chosen(self, chat_id: str) -> None:
        if chat_id != self.talk.chat.id:
            self.talk.when_free(lambda: self.talk.open_saved(chat_id))

    @Slot(str)
    def _on_delete(self, chat_id: str) -> None:
        def delete() -> None:
            self._session.delete_chat(chat_id)
            if chat_id == self.talk.chat.id:
                self.talk.open(Chat())

        self.talk.when_free(delete)

    # -- replies -------------------------------------------------------------------------------------------------------

    @Slot(str)
    def _on_starter(self, kind: str) -> None:
        starter = self._session.draw_starter(kind)
        topic = starter.question.topic or ()
        self.say(Turn(prompt=starter.prompt, kind=starter.kind, gold=starter.gold, topic=topic, fresh=True))

    def say(self, turn: Turn) -> None:
        """Say something to the open model."""
        self.talk.say(turn, self._drawn_sampling())

    @Slot()
    def _on_retry(self) -> None:
        self.talk.reply(self._drawn_sampling())

    def _drawn_sampling(self) -> SamplingConfig:
        self.sampling.draw_seed()
        return self.sampling.config

    @Slot(object)
    def _on_turn_added(self, turn: Turn) -> None:
        self.view.add_turn(turn)
        self._show_page()

    @Slot()
    def _on_reply_began(self) -> None:
        self.view.turns[-1].begin()

    @Slot(str)
    def _on_reply_grew(self, text: str) -> None:
        self.view.turns[-1].set_note("")
        self.view.turns[-1].append(text)

    @Slot(object, int)
    def _on_reply_ended(self, turn: Turn, left_out: int) -> None:
        self.view.turns[-1].end(turn, left_out)

    @Slot(int, int)
    def _on_version(self, index: int, version: int) -> None:
        self.view.turns[index].show_turn(self.talk.show_version(index, version))


def _chat_item(chat_id: str, chat: Chat | str) -> Item:
    """The line for a conversation, or for a file (by its sentence) that is none."""
    if isinstance(chat, str):
        return Item(chat_id, chat_id, problem=chat)
    return Item(chat_id, chat.title, date_words(chat.created))
