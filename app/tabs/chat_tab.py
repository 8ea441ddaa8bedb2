"""The chat tab: talk to a model of the library, or to the one in training as it is at this step."""

from __future__ import annotations

from PySide6.QtCore import Qt, Slot
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QSplitter, QVBoxLayout, QWidget

from app.chat_model import LIVE, ChatModel
from app.chat_tree import Message
from app.conversation import Conversation
from app.sampling_presets import SamplingPresets
from app.session import Session
from app.theme import SPACE, ThemeProvider
from app.widgets.basics import frame, label, row
from app.widgets.chat_list import ChatList
from app.widgets.chat_pages import ChatPages
from app.widgets.chat_view import ChatView, in_chat_column
from app.widgets.composer import Composer
from app.widgets.elided_label import ElidedLabel
from app.widgets.model_picker import ModelPicker
from app.widgets.sampling_panel import SamplingPanel
from app.widgets.scrolling import scrolling
from app.widgets.starter_bar import StarterBar
from app.widgets.words import percent, short_count
from models.inference.settings import SamplingConfig, with_advice

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
        self.talk.draw = self._drawn_sampling
        self._live_name = ""
        self._model_shown: ChatModel | None = None
        self.setProperty("role", "page")
        self.chats = ChatList(self.talk, theme)
        self.models = ModelPicker()
        self.model_note = ElidedLabel()
        self.world_note = label("", "muted", wrap=True)
        self.view = ChatView(self.talk, theme)
        self.starters = StarterBar(theme)
        self.composer = Composer(theme)
        self.sampling = SamplingPanel(theme, SamplingPresets(session))
        self.pages = ChatPages(self.view, theme)
        self._build()
        self._connect()
        self.composer.set_hint(_NO_MODEL)
        self._show_models()
        self._on_model_changed()

    # -- layout --------------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        splitter = QSplitter(Qt.Orientation.Horizontal)
        splitter.setChildrenCollapsible(False)
        for panel in (self.chats, self._centre(), self._sampling_panel()):
            splitter.addWidget(panel)
        splitter.setStretchFactor(1, 1)
        splitter.setSizes([210, 800, 290])
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2 * SPACE, 2 * SPACE, 2 * SPACE, 2 * SPACE)
        layout.addWidget(splitter)

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
        self.models.picked.connect(self._on_model_picked)
        self.pages.open_asked.connect(lambda: self._on_model_picked(self.models.newest_run[0]))
        self.pages.train_asked.connect(lambda: session.tab_requested.emit("training"))
        self.composer.sent.connect(lambda text: self.talk.say(Message(content=text)))
        self.composer.edit_asked.connect(self.view.edit_last)
        self.composer.stop_asked.connect(session.stop_chat)
        self.starters.asked.connect(self._on_starter)
        self.talk.chat_changed.connect(self._on_chat_changed)
        self.talk.path_changed.connect(self._show_page)
        new = QShortcut(QKeySequence(QKeySequence.StandardKey.New), self, self.chats.new_chat)
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
            if model is not None:
                usual = SamplingConfig(temperature=_TALK_TEMPERATURE if model.talks else _TEXT_TEMPERATURE)
                folder = session.library.runs / model.run_id
                self.sampling.open_model(model.run_id, folder, with_advice(usual, model.form.sampling))
                self.sampling.offer_beams(model.mode == "answer")
            self.composer.set_hint(_NO_MODEL if model is None else _HINTS[model.mode])
        self.world_note.setVisible(bool(self.world_note.text()))
        ready = model is not None and session.chat_state == "ready"
        self.composer.set_state(can_send=ready, replying=busy)
        self.starters.setEnabled(ready)
        self.view.set_can_reply(ready)
        if session.chat_state == "waiting":
            waits = "Waiting for the training step that is running…" if session.training_active else "Reading…"
            self.view.set_note(waits)
        self._show_page()

    def _loading_words(self) -> str:
        share = self._session.loaded_share
        return f"Loading… {percent(share)}" if share else "Loading…"

    def _show_page(self) -> None:
        """The conversation where there is one to see or to begin, else what to do first."""
        model = self._session.chat_model
        if self.talk.chat.messages or self._session.chat_state == "loading":
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
    def _on_chat_changed(self) -> None:
        self._show_page()
        self.composer.field.setFocus()

    # -- replies -------------------------------------------------------------------------------------------------------

    @Slot(str)
    def _on_starter(self, kind: str) -> None:
        starter = self._session.draw_starter(kind)
        topic = starter.question.topic or ()
        question = Message(content=starter.prompt, kind=starter.kind, gold=starter.gold, topic=topic, fresh=True)
        self.talk.say(question)

    def _drawn_sampling(self) -> SamplingConfig:
        self.sampling.draw_seed()
        return self.sampling.config
