"""A card shown while pronoun models are missing: what they are, and a button that trains them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from PySide6.QtCore import QObject, Signal, Slot
from PySide6.QtWidgets import QFrame, QWidget

from terrarium.app.kit.basics import button, column, label, row
from terrarium.app.kit.inputs import progress_bar
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.minimal_pairs.pronoun_models import PronounModel
from terrarium.app.session.routes import ShowPlace
from terrarium.app.session.runs import Runs
from terrarium.app.session.session import Session
from terrarium.app.session.training import Training
from terrarium.models.design import total_parameters
from terrarium.models.number_words import format_compact, format_duration
from terrarium.models.recipes.pronoun_specs import KINDS, NAMES, TRAINING, pronoun_spec

_GROW_TIP = "Train them now, one after the other"
_RESUME_TIP = "Continue from its last checkpoint, to the end of its training"
_QUEUE_TIP = "A run is training: they start by themselves when that has ended"


class GrowCard(QFrame):
    """Offers to train the missing models, and shows the progress."""

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "card")
        self._session, self._theme = session, theme
        self._missing: tuple[str, ...] = KINDS
        self._unfinished: PronounModel | None = None
        self.growth = _PronounGrowth(session.training, session.runs, self)
        self.title = label("", "heading")
        n = total_parameters(pronoun_spec(KINDS[0]).model)
        self.about = label(
            f"Two models of one size ({format_compact(n)} parameters) learn from thousands of sentences what “it” is: "
            "an encoder, which reads both ways, and a causal model, which reads from left to right. The answer is read "
            "at “it”, by scoring the positions of the nouns. Both are ordinary runs "
            f"of {TRAINING.steps:,} steps, so the training tab shows their curves.",
            "muted",
            wrap=True,
        )
        self.grow = button("", theme, self._on_grow, icon="leaf", role="primary", tip=_GROW_TIP)
        self.resume = button(
            "Resume training", theme, self._on_resume, icon="play-fill", role="primary", tip=_RESUME_TIP
        )
        self.cancel = button("Stop", theme, self.growth.cancel, icon="stop-fill", tip="Stop after the current step")
        self.curves = button(
            "Watch the curves",
            theme,
            partial(session.go, ShowPlace("training")),
            role="link",
            tip="Go to the training tab",
        )
        self.bar = progress_bar("Progress")
        self.words = label("", "mono-small")
        buttons = row(self.resume, self.grow, self.cancel, self.words, None, self.curves)
        self.setLayout(column(self.title, self.about, self.bar, buttons, margin=2 * SPACE))
        self.growth.changed.connect(self._show)
        session.training.changed.connect(self._show)
        self._show()

    def show_missing(self, topologies: tuple[str, ...], unfinished: Sequence[PronounModel] = ()) -> None:
        """Set which topologies are missing, and which models were stopped before their training ended."""
        self._missing, self._unfinished = topologies, next(iter(unfinished), None)
        self._show()

    def _on_grow(self) -> None:
        missing = self._missing or KINDS
        if self._session.training.active:
            names = [self._session.runs.free_name(NAMES[topology]) for topology in missing]
            specs = [pronoun_spec(topology, name) for topology, name in zip(missing, names, strict=True)]
            if self._session.queue.add(specs):
                self._session.notices.say(
                    f"{' and '.join(names)} are in the queue." if len(names) > 1 else f"{names[0]} is in the queue."
                )
        else:
            self.growth.start(missing)

    def _on_resume(self) -> None:
        model = self._unfinished
        if model is None:
            return
        if not self._session.training.active:
            self.growth.resume(model.run_id)
        elif self._session.queue.add_run(model.run_id):
            self._session.notices.say(f"“{model.name}” is in the queue.")

    @Slot()
    def _show(self) -> None:
        growing, both = self.growth.active, len(self._missing) != 1
        busy = self._session.training.active and not growing
        name = "pronoun models" if both else "encoder" if self._missing == KINDS[:1] else "causal model"
        stopped = None if growing else self._unfinished
        title = f"Grow the {name}"
        if stopped is not None:
            title = f"“{stopped.name}” was stopped at step {stopped.step:,} of {stopped.total_steps:,}"
        self.title.setText("Growing the pronoun models" if growing else title)
        self.about.setVisible(stopped is None or bool(self._missing))
        self.resume.setVisible(stopped is not None)
        self.resume.setText("Add it to the queue" if busy else "Resume training")
        self.resume.setToolTip(_QUEUE_TIP if busy else _RESUME_TIP)
        self.grow.setText(f"Add the {name} to the queue" if busy else f"Grow the {name}")
        for widget in (self.cancel, self.bar, self.curves):
            widget.setVisible(growing)
        self.grow.setVisible(not growing and (stopped is None or bool(self._missing)))
        self._theme.set_icon(self.grow, "queue" if busy else "leaf", "on_accent")
        self.grow.setToolTip(_QUEUE_TIP if busy else _GROW_TIP)
        self.bar.setValue(round(self.bar.maximum() * self.growth.progress))
        state = self._session.training.state
        left = state.seconds_left if growing and state is not None else None
        words = self.growth.words if growing else ""
        self.words.setText(words if left is None else f"{words} · {format_duration(left)} left")


class _PronounGrowth(QObject):
    """Trains the pronoun models one after the other, as ordinary runs.

    Signals:
        changed(): `active`, `progress` or `words` has changed.
    """

    changed = Signal()

    def __init__(self, training: Training, runs: Runs, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._training, self._runs = training, runs
        self._left: list[str] = []
        self._total = 0
        self.active = False
        """Whether one of the models is being trained."""
        training.changed.connect(self._on_changed)
        training.ended.connect(self._on_ended)

    def start(self, topologies: tuple[str, ...]) -> bool:
        """Train a new run of each topology. Return whether the first started; problems are reported."""
        self._left, self._total = list(topologies), len(topologies)
        return self._next()

    def resume(self, run_id: str) -> bool:
        """Resume a stopped run. Return whether it started; problems are reported."""
        self._left, self._total = [], 1
        self.active = True  # set before the training reports anything
        self.active = self._training.resume_run(run_id)
        self.changed.emit()
        return self.active

    def cancel(self) -> None:
        """Stop after the current step, and start no further run. Checkpoints remain."""
        self._left.clear()
        if self.active:
            self._training.stop()

    @property
    def progress(self) -> float:
        """The completed share of all training steps."""
        state = self._training.state
        if not self.active or state is None:
            return 0.0
        done = self._total - len(self._left) - 1
        return (done + (state.step / state.total_steps if state.total_steps else 0.0)) / self._total

    @property
    def words(self) -> str:
        """A short status text."""
        state = self._training.state
        if not self.active or state is None:
            return ""
        which = f"{self._total - len(self._left)} of {self._total}"
        return (
            f"{state.name} ({which}): step {state.step:,}"
            if state.total_steps
            else f"{state.name} ({which}): preparing"
        )

    def _next(self) -> bool:
        topology = self._left.pop(0)
        name = self._runs.free_name(NAMES[topology])
        self.active = True  # set before the new training reports anything
        self.active = self._training.start(pronoun_spec(topology, name))
        if not self.active:
            self._left.clear()
        self.changed.emit()
        return self.active

    @Slot()
    def _on_changed(self) -> None:
        if self.active:
            self.changed.emit()

    @Slot()
    def _on_ended(self) -> None:
        if not self.active:
            return
        state = self._training.state
        self.active = False
        if self._left and state is not None and state.status == "finished" and not self._training.active:
            self._next()
            return
        self._left.clear()
        self.changed.emit()
