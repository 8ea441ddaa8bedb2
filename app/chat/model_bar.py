"""Which model the chat tab is about: the choice, how far it is read, and what it was trained on."""

from __future__ import annotations

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from app.chat.conversation.starters import world_words
from app.chat.model_picker import ModelPicker
from app.kit.basics import button, row
from app.kit.labels import ElidedLabel
from app.kit.theme import SPACE, ThemeProvider
from app.kit.words.value_words import percent, short_count
from app.session.chat_model import LIVE, ChatModel
from app.session.session import Session
from models.inference.weight_kinds import KINDS


class ModelBar(QWidget):
    """The picker, with what there is to say of the model behind it.

    Signals:
        picked(which): the user chose a run's id, or LIVE.
        choices_changed(): other models can be chosen.
    """

    picked = Signal(str)
    choices_changed = Signal()

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._live_name = ""
        self.picker = ModelPicker()
        self.note = ElidedLabel()
        self.note.setProperty("role", "muted")
        self.world = ElidedLabel()
        self.world.setProperty("role", "caption")
        self.world.setToolTip("What the model was trained on")
        self.cancel = button("Cancel", theme, session.chat.cancel_opening, role="quiet", tip="Leave off loading it")
        self.cancel.setSizePolicy(QSizePolicy.Policy.Minimum, QSizePolicy.Policy.Ignored)  # nothing moves as it comes
        lines = QVBoxLayout(self)
        lines.setContentsMargins(0, 0, 0, 0)
        lines.setSpacing(SPACE // 2)
        line = row(self.picker, self.note, self.cancel)
        line.setStretch(1, 1)
        lines.addLayout(line)
        lines.addWidget(self.world)
        session.chat.changed.connect(self._show_state)
        session.chat.model_changed.connect(self.show_choices)
        session.runs.changed.connect(self.show_choices)
        session.training.changed.connect(self._on_training_changed)
        self.picker.picked.connect(self.picked)
        self.show_choices()

    @Slot()
    def show_choices(self) -> None:
        """Offer what the library has now, and show what is open."""
        self._live_name = self._training_name()
        session, model = self._session, self._session.chat.model
        runs = [
            run
            for run in session.runs.list()
            if (run.step > 0 or run.status == "imported") and not run.problem and not session.training.trains(run.id)
        ]
        which, step = (model.which, model.step) if model is not None else ("", None)
        self.picker.set_choices(runs, self._live_name, which, step)
        world = world_words(model)
        self.world.setText(world)
        self.world.setVisible(bool(world))
        self._show_state()
        self.choices_changed.emit()

    @Slot()
    def _on_training_changed(self) -> None:
        # Comes with every step: the list is only read again where there is another training, or none any more.
        if self._training_name() != self._live_name:
            self.show_choices()

    def _training_name(self) -> str:
        state = self._session.training.state
        return state.name if state is not None and self._session.training.active and state.step > 0 else ""

    @Slot()
    def _show_state(self) -> None:
        model, is_loading = self._session.chat.model, self._session.chat.state == "loading"
        self.cancel.setVisible(is_loading)
        if is_loading:
            share = self._session.chat.loaded_share
            self.note.setText(f"Loading {self._session.chat.opening}…" + (f" {percent(share)}" if share else ""))
        else:
            self.note.setText(_words(model) if model is not None else "")


def _words(model: ChatModel) -> str:
    at_step = f"step {model.step:,}, " if model.which == LIVE else ""
    weights = f" in {model.weights}" if model.weights != KINDS[0] else ""
    return f"{at_step}{short_count(model.n_parameters)} parameters{weights}, on {model.device}"
