"""Dry runs: three real training steps of a design as a background job on the worker thread."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot

from terrarium.app.session.device import Device
from terrarium.app.session.status import StatusLine
from terrarium.app.session.training import Training
from terrarium.app.worker.failures import Failure
from terrarium.app.worker.job import Job
from terrarium.app.worker.latest_job import LatestJob
from terrarium.app.worker.notices import Notices
from terrarium.app.worker.worker import Worker
from terrarium.models.events import Event, Notice, Phase, Progress
from terrarium.models.settings.model_config import ModelConfig

if TYPE_CHECKING:
    from terrarium.models.settings.run_spec import TrainConfig
    from terrarium.models.training.estimates.dry_run import DryRun

TIMED_STEPS = 3
"""As in models.training.estimates.dry_run, which the window does not import because it loads torch."""


@dataclass(frozen=True, kw_only=True)
class DryRunMeasured(Event):
    """The measurements of a design's dry run; `run.length` may be shorter than its context."""

    config: ModelConfig
    run: DryRun


@dataclass(frozen=True, kw_only=True)
class DryRunState:
    """The state of the dry run, from its events.

    result: that of the last finished dry run. phase: the current activity; after the end, why the dry run ended without
    a result, or ''. problem: that reason, set as soon as it is known.
    """

    running: bool = False
    phase: str = ""
    problem: str = ""
    done: int = 0
    total: int = 0
    result: DryRunMeasured | None = None

    @property
    def status(self) -> StatusLine | None:
        """The line in the status bar, None if no dry run is active."""
        return StatusLine(words=f"Dry run: {self.phase}", done=self.done, total=self.total) if self.running else None

    def after(self, event: Event) -> DryRunState:
        """Return the state after `event`."""
        match event:
            case Phase():
                return dataclasses.replace(self, phase=event.name)
            case Progress():
                return dataclasses.replace(self, phase=_describe(event), done=event.done, total=event.total)
            case Notice():
                return dataclasses.replace(self, phase=event.sentence, problem=event.sentence)
            case DryRunMeasured():
                return dataclasses.replace(self, result=event)
        return self


class DryRuns(QObject):
    """Runs one dry run at a time, as a background job that is cancelled when a training run is submitted.

    state: the current dry run, and the last result. Problems that the user can fix are reported in its `phase`.

    Signals:
        changed(): `state` has changed.
    """

    changed = Signal()

    def __init__(self, worker: Worker, device: Device, training: Training, notices: Notices, parent: QObject) -> None:
        super().__init__(parent)
        self._job = LatestJob(worker, self)
        self._job.events_received.connect(self._on_events)
        self._job.ended.connect(self._on_ended)
        self._job.failed.connect(notices.fail)
        self._device, self._training, self._notices = device, training, notices
        self.state = DryRunState()
        training.began.connect(self._yield_to_training)

    @property
    def status(self) -> StatusLine | None:
        """The line in the status bar, None if no dry run is active."""
        return self.state.status

    def start(self, config: ModelConfig, train: TrainConfig, length: int | None = None) -> bool:
        """Measure three training steps on texts of `length` tokens (default: the context), with the batch size of
        `train`. Return whether it started."""
        if self._training.active:
            name = self._training.state.name if self._training.state is not None else ""
            return self._notices.refuse(
                f"“{name}” is training: a dry run would slow it down and share its memory. "
                "Stop it or wait until it finishes."
            )
        if self._job.busy:
            return self._notices.refuse("A dry run is already active. Wait or cancel it.")
        device = self._device.name
        tried = config if length is None else dataclasses.replace(config, context_length=length)

        def make() -> Iterator[Event]:
            from terrarium.models.training.estimates.dry_run import dry_run

            try:
                run = yield from dry_run(tried, train, device)
            except ValueError as error:  # it does not fit, or has nothing to train: not a bug
                yield Notice(sentence=str(error))
            else:
                yield DryRunMeasured(config=config, run=run)

        self._job.submit(Job("Dry run", make))
        self._set(
            dataclasses.replace(self.state, running=True, phase="Waiting for the worker", problem="", done=0, total=0)
        )
        return True

    def cancel(self) -> None:
        """Stop after the current step; the previous result is retained."""
        if self._job.busy:
            self._job.cancel()
            self._set(dataclasses.replace(self.state, phase="Stopping after this step"))

    def _set(self, state: DryRunState) -> None:
        self.state = state
        self.changed.emit()

    @Slot(object, object)
    def _on_events(self, job: Job, events: tuple[Event, ...]) -> None:
        state = self.state
        for event in events:
            if not job.cancelled or isinstance(event, DryRunMeasured):
                state = state.after(event)
        self._set(state)

    @Slot(object, object)
    def _on_ended(self, job: Job, failure: Failure | None) -> None:
        problem = self.state.problem if failure is None else failure.sentence
        self._set(dataclasses.replace(self.state, running=False, phase=problem, problem=problem))
        self._device.changed.emit()  # its memory was freed

    @Slot()
    def _yield_to_training(self) -> None:
        if self.state.running:
            self.cancel()  # the training run waits for it


def _describe(progress: Progress) -> str:
    """Describe the activity after `progress`. On the CPU, one more step follows the timed ones, to measure memory."""
    if not progress.done:
        return f"Building the model, step 1 of {TIMED_STEPS}"
    if progress.done < TIMED_STEPS:
        return f"Step {progress.done + 1} of {TIMED_STEPS}"
    return "Measuring the memory of a step"
