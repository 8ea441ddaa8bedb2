"""The model of the chat tab: the picker, the loading progress, and what the model was trained on."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSignalBlocker, Qt, Signal, Slot
from PySide6.QtWidgets import QComboBox, QSizePolicy, QWidget

from terrarium.app.chat.conversation.starters import describe_world
from terrarium.app.kit.basics import button, column, group, plain_tip, row, set_enabled, show_words
from terrarium.app.kit.labels import ElidedCombo, ElidedLabel
from terrarium.app.kit.layout.relayout import RelayoutOnResize
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.chat_model import LIVE, ChatModel
from terrarium.app.session.routes import DoToRun
from terrarium.app.session.session import Session
from terrarium.models.inference.weight_kinds import KINDS
from terrarium.models.library.library import RunInfo
from terrarium.models.number_words import format_compact, format_done

_SAVED_AT_THE_END = ("finished", "stopped", "paused")

_HEADLESS = "It has no head, so it writes nothing: fine-tune it to give labels, or look at its embeddings below."


class ModelBar(QWidget):
    """The model picker, with a description of the open model.

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
        self.cancel = button("Cancel", theme, session.chat.cancel_opening, role="quiet", tip="Cancel loading")
        # The height is ignored, so that nothing moves when the button appears.
        self.cancel.setSizePolicy(QSizePolicy.Policy.Minimum, QSizePolicy.Policy.Ignored)
        self.longer = button(
            "Train longer…",
            theme,
            lambda: self._ask("longer"),
            icon="fast-forward",
            role="quiet",
            tip="Continue this model's training from where it ended, with the same data",
        )
        self.tune = button(
            "Fine-tune…",
            theme,
            lambda: self._ask("tune"),
            icon="graduation-cap",
            role="quiet",
            tip="A new run that starts from this model's weights and learns other data",
        )
        self._beside: list[QWidget] = [self.picker, self.note, self.cancel]
        self._first, self._below = row(*self._beside, grows=self.note), row(self.world, None)
        self._buttons = group(row(self.longer, self.tune))
        self.setLayout(column(self._first, self._below, spacing=SPACE // 2))
        session.chat.changed.connect(self._show_state)
        session.chat.model_changed.connect(self.show_choices)
        session.runs.changed.connect(self.show_choices)
        session.training.changed.connect(self._on_training_changed)
        self.picker.picked.connect(self.picked)
        self.show_choices()
        RelayoutOnResize(self, self._arrange)

    def _arrange(self) -> None:
        """Put the buttons beside the model if they fit and the line below is empty, else into the line below."""
        others = [each for each in self._beside if not each.isHidden()]
        needed = sum(each.sizeHint().width() + SPACE for each in others) + self._buttons.sizeHint().width()
        line = self._first if not self.world.text() and needed <= self.width() else self._below
        if line.indexOf(self._buttons) < 0:
            line.addWidget(self._buttons)

    def put_first(self, widget: QWidget) -> None:
        """Put a widget before the model picker."""
        self._first.insertWidget(0, widget)
        self._beside.insert(0, widget)

    @Slot()
    def show_choices(self) -> None:
        """Update the picker with the library's runs, and show the open model."""
        self._live_name = self._training_name()
        session, model = self._session, self._session.chat.model
        which, step = (model.which, model.step) if model is not None else ("", None)
        # The open model is offered even while its run is active: a recipe continues after the model was trained.
        runs = [
            run
            for run in session.runs.list()
            if run.has_model and (run.id == which or not session.training.trains(run.id))
        ]
        self.picker.set_choices(runs, self._live_name, which, step)
        is_headless = model is not None and model.mode == "vectors"
        world = _HEADLESS if is_headless else describe_world(model)
        show_words(self.world, world)
        self._show_state()
        self.choices_changed.emit()

    @Slot()
    def _on_training_changed(self) -> None:
        # Emitted at every step: read the list again only when the training run changes or ends.
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
            self.note.setText(f"Loading {self._session.chat.opening}…" + (f" {format_done(share)}" if share else ""))
        else:
            self.note.setText(_describe_model(model) if model is not None else "")
        is_learning = model is not None and model.which == LIVE
        self._buttons.setVisible(model is not None and not is_loading)
        self._arrange()
        for each in (self.longer, self.tune):
            set_enabled(each, "This model is still learning: wait until its training ends." if is_learning else "")

    def _ask(self, name: str) -> None:
        model = self._session.chat.model
        if model is not None:
            self._session.go(DoToRun(model.run_id, name))


def _describe_model(model: ChatModel) -> str:
    at_step = f"step {model.step:,}, " if model.which == LIVE else ""
    weights = f" in {model.weights}" if model.weights != KINDS[0] else ""
    return f"{at_step}{format_compact(model.n_parameters)} parameters{weights}, on {model.device}"


class ModelPicker(ElidedCombo):
    """A picker for the model to chat with: the current weights of the training run, or a run's latest checkpoint.

    Signals:
        picked(which): the user chose a run's id, or LIVE.
    """

    picked = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Model to talk to")
        self.setToolTip(
            plain_tip("Which model answers: a run's latest checkpoint, or the model in training as it is now")
        )
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(26)
        self.setPlaceholderText("Choose a model")
        self.activated.connect(lambda _: self.picked.emit(str(self.currentData())))

    def set_choices(self, runs: Sequence[RunInfo], live_name: str, current: str, step: int | None) -> None:
        """Offer the runs that can be opened, below the training run called `live_name` ('' for none).

        Args:
            current: the open model, as `ChatModel.which` ('' for none). step: its checkpoint, perhaps not the latest.
        """
        with QSignalBlocker(self):
            self.clear()
            if live_name:
                self.addItem(f"{live_name}, in training now", LIVE)
                self.setItemData(0, "Each reply uses the weights of that moment", Qt.ItemDataRole.ToolTipRole)
            for run in runs:
                self.addItem(f"{run.name}, {_format_checkpoint(run, step if run.id == current else None)}", run.id)
                self.setItemData(self.count() - 1, plain_tip(f"{run.status}, {run.id}"), Qt.ItemDataRole.ToolTipRole)
            self.setCurrentIndex(self.findData(current) if current else -1)
        set_enabled(self, "" if self.count() else "There is no model yet: train or download one.")

    @property
    def newest(self) -> tuple[str, str]:
        """Id and label of the newest run that can be opened; LIVE and its label if there is only a training run; two
        empty strings if there is neither.
        """
        found = [(str(self.itemData(i)), self.itemText(i)) for i in range(self.count())]
        return min(found, key=lambda model: model[0] == LIVE, default=("", ""))


def _format_checkpoint(run: RunInfo, open_step: int | None) -> str:
    """Format the step of a run's checkpoint, or its status: a failed run may have trained past its last checkpoint."""
    if run.status == "imported" or (open_step is None and run.status not in _SAVED_AT_THE_END):
        return run.status
    return f"step {run.step if open_step is None else open_step:,}"
