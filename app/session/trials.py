"""Runs tried out before they start, and the data of those that there are looked at: on the worker, for the session."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot

from app.session.tokenizer_jobs import TokenizerJobs
from app.training.trials.trials import TrialControl, TrialState
from app.worker.job import INTERACTIVE
from models.library.library import Library

if TYPE_CHECKING:
    from models.settings.run_spec import RunSpec


class Trials(TokenizerJobs):
    """The making of tokenizers and the trainings, and what is tried out before.

    Signals (and those of TokenizerJobs, and Trainings):
        trial_changed(): `trial` is new.
        run_preview_changed(): `run_preview` is new.
    """

    trial_changed = Signal()
    run_preview_changed = Signal()

    def __init__(self, library: Library, parent: QObject | None = None) -> None:
        super().__init__(library, parent)
        self._trials = trials = TrialControl(self.worker, library, self)
        self._previews = previews = TrialControl(self.worker, library, self, INTERACTIVE)
        trials.changed.connect(self.trial_changed)
        trials.changed.connect(self._on_trial_over)
        trials.failed.connect(self.notices.fail)
        previews.changed.connect(self.run_preview_changed)
        previews.failed.connect(self.notices.fail)
        self.training.began.connect(self._make_way)

    @property
    def trial(self) -> TrialState:
        """The trial that is going on, and what the last ones found."""
        return self._trials.state

    @property
    def run_preview(self) -> TrialState:
        """The look at a run's data: `spec` is that run's."""
        return self._previews.state

    def start_trial(self, kind: str, spec: RunSpec, *, below: int | None = None) -> bool:
        """Try a run out (a kind of TITLES) in place of any other trial; whether it began: never beside a training."""
        if self.training.active:
            name = self.training.state.name if self.training.state is not None else ""
            return self.notices.refuse(
                f"“{name}” is being trained: a trial beside it would hold it up and share its memory. Stop the "
                "training first, or wait until it ends."
            )
        return self.notices.attempt(lambda: self._trials.start(kind, spec, self.device.name, below=below))

    def cancel_trial(self) -> None:
        """End it after the step that it is at."""
        self._trials.cancel()

    def preview_run(self, folder: Path, spec: RunSpec) -> None:
        """Look at the data of a run in the library, even beside a training."""
        self._previews.start_run(folder, spec)

    @Slot()
    def _on_trial_over(self) -> None:
        if not self._trials.state.running:
            self.device.changed.emit()  # its memory is free again
            self.tokenizers.list_changed.emit()  # it may have trained the tokenizer that the run wants

    @Slot()
    def _make_way(self) -> None:
        if self._trials.state.running:
            self._trials.cancel()  # the training is queued behind it
