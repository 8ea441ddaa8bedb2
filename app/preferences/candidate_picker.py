"""A picker for a run and one of its checkpoints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from PySide6.QtCore import QSignalBlocker, Signal, Slot
from PySide6.QtWidgets import QWidget

from terrarium.app.kit.basics import row, set_enabled
from terrarium.app.kit.inputs import choice, fill_choice
from terrarium.app.kit.theme import SPACE
from terrarium.app.session.candidates import Candidate
from terrarium.app.session.runs import Runs
from terrarium.models.number_words import format_date

_NEWEST = -1


class CandidatePicker(QWidget):
    """Two combo boxes: the run, and the checkpoint.

    Args:
        first: the label of an entry before the runs that stands for no run; "" for no such entry.

    Signals:
        changed(): the user chose another run or checkpoint.
    """

    changed = Signal()

    def __init__(self, runs: Runs, tip: str, first: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._runs, self._first = runs, first
        self.runs = choice("Model", tip, width=7)
        self.runs.setPlaceholderText("Choose one")
        self.steps = choice("Checkpoint", "Which of the run's checkpoints")
        self.setLayout(row(self.runs, self.steps, spacing=SPACE // 2, grows=self.runs))
        self.runs.activated.connect(self._on_run)
        self.steps.activated.connect(lambda _: self.changed.emit())
        self.offer(())

    @property
    def candidate(self) -> Candidate | None:
        """The chosen candidate, or None."""
        run_id, step = self.runs.currentData(), self.steps.currentData()
        return Candidate(str(run_id), None if step in (None, _NEWEST) else int(step)) if run_id else None

    @property
    def name(self) -> str:
        """The run's name with the checkpoint's step, if it has checkpoints; "" for none."""
        candidate = self.candidate
        if candidate is None:
            return ""
        newest = self.steps.itemData(1) if self.steps.count() > 1 else None
        return self.name_at(newest if candidate.step is None else candidate.step)

    def name_at(self, step: int | None) -> str:
        """Return the run's name with the step of one of its checkpoints, if there is one."""
        return str(self.runs.currentText()) + (f" at step {step:,}" if step else "")

    def offer(self, runs: Sequence[tuple[str, str]]) -> None:
        """Set the runs to offer, as (id, name); the choice is retained if it is among them."""
        chosen, step = self.runs.currentData(), self.steps.currentData()
        with QSignalBlocker(self.runs):
            fill_choice(self.runs, ({"": self._first} if self._first else {}) | dict(runs))
            self.runs.setCurrentIndex(self.runs.findData(chosen) if chosen else 0 if self._first else -1)
        self._offer_steps(step)

    def choose(self, candidate: Candidate | None) -> None:
        """Choose a candidate, or none, without a signal."""
        self.runs.setCurrentIndex(self.runs.findData(candidate.run_id if candidate is not None else ""))
        self._offer_steps(_NEWEST if candidate is None or candidate.step is None else candidate.step)

    def _offer_steps(self, chosen: object) -> None:
        run_id = self.runs.currentData()
        steps = self._runs.checkpoint_steps(str(run_id)) if run_id else ()
        fill_choice(self.steps, {_NEWEST: "newest", **{step: f"step {step:,}" for step in steps}}, chosen)
        set_enabled(
            self.steps,
            "" if self.steps.count() > 1 else "There is only one checkpoint." if run_id else "Choose a model first.",
        )
        self.steps.setVisible(bool(run_id) or not self._first)

    @Slot()
    def _on_run(self) -> None:
        self._offer_steps(_NEWEST)
        self.changed.emit()


def runs_to_pick(runs: Runs) -> list[tuple[str, str]]:
    """Return the runs with a model as (id, name), newest first. Names are unique: runs that share a name get their
    date, then their id.
    """
    found = [run for run in runs.list() if run.has_model]
    names = {run.id: run.name for run in found}
    for tell_apart in (lambda run: format_date(run.created), lambda run: run.id):
        counts = Counter(names.values())
        names |= {run.id: f"{run.name} ({tell_apart(run)})" for run in found if counts[names[run.id]] > 1}
    return list(names.items())
