"""The pronoun recipe in the window: trains two ordinary runs, one after the other."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal, Slot

from terrarium.app.session.runs import Runs
from terrarium.app.session.training import Training
from terrarium.models.recipes.pronoun_specs import NAMES, pronoun_spec


class PronounGrowth(QObject):
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
