"""Tries a design out: three real training steps on the worker, when it has nothing else to do."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot

from app.failures import Failure
from app.job import Job
from app.status import Status
from app.worker import Worker
from models.config import ModelConfig
from models.events import Event, Notice, Phase, Progress

if TYPE_CHECKING:
    from models.dry_run import DryRun
    from models.training.spec import TrainConfig

TIMED_STEPS = 3
"""As models.dry_run has it, which the window cannot import: it loads torch."""


@dataclass(frozen=True, kw_only=True)
class Measured(Event):
    """What the dry run of a design took; `run.length` may be shorter than the design's context."""

    config: ModelConfig
    run: DryRun


@dataclass(frozen=True, kw_only=True)
class DryRunState:
    """What the dry run is, read from what it said.

    result: the last one that came to its end. phase: what it is doing; when it is not running, why it ended without a
    result, '' where it did not. problem: that sentence, as soon as it is known.
    """

    running: bool = False
    phase: str = ""
    problem: str = ""
    done: int = 0
    total: int = 0
    result: Measured | None = None

    @property
    def status(self) -> Status | None:
        """For the status bar, None while none is running."""
        return Status(words=f"Dry run: {self.phase}", done=self.done, total=self.total) if self.running else None

    def after(self, event: Event) -> DryRunState:
        """The state when `event` has come."""
        match event:
            case Phase():
                return dataclasses.replace(self, phase=event.name)
            case Progress():
                return dataclasses.replace(self, phase=_words(event), done=event.done, total=event.total)
            case Notice():
                return dataclasses.replace(self, phase=event.sentence, problem=event.sentence)
            case Measured():
                return dataclasses.replace(self, result=event)
        return self


class DryRunControl(QObject):
    """Runs one dry run at a time, as a background job.

    Signals:
        changed(): `state` is new.
        failed(failure): it raised what nobody expected. What a user can mend is said in `state.phase`.
    """

    changed = Signal()
    failed = Signal(object)

    def __init__(self, worker: Worker, parent: QObject) -> None:
        super().__init__(parent)
        self._worker = worker
        self._job: Job | None = None
        self.state = DryRunState()
        worker.job_events.connect(self._on_events)
        worker.job_finished.connect(self._on_finished)
        worker.job_failed.connect(self._on_failed)

    @property
    def busy(self) -> bool:
        """Whether one is going on, or waits for the worker."""
        return self._job is not None

    def start(self, config: ModelConfig, train: TrainConfig, device: str, length: int | None = None) -> None:
        """Try `config` on texts of `length` tokens (default: its context), in batches as `train` says.

        Raises:
            ValueError: where a dry run is going on.
        """
        if self.busy:
            raise ValueError("A dry run is going on already: wait for it or cancel it.")
        tried = config if length is None else dataclasses.replace(config, context_length=length)

        def make() -> Iterator[Event]:
            from models.dry_run import dry_run

            try:
                run = yield from dry_run(tried, train, device)
            except ValueError as error:  # it does not fit, or has nothing to train: no failure of the program
                yield Notice(sentence=str(error))
            else:
                yield Measured(config=config, run=run)

        self._job = self._worker.submit(Job("Dry run", make))
        self._set(
            dataclasses.replace(self.state, running=True, phase="Waiting for the worker", problem="", done=0, total=0)
        )

    def cancel(self) -> None:
        """End it after the step that it is at; what an earlier one measured stands."""
        if self._job is not None:
            self._job.cancel()
            self._set(dataclasses.replace(self.state, phase="Stopping after this step"))

    def _set(self, state: DryRunState) -> None:
        self.state = state
        self.changed.emit()

    @Slot(object, object)
    def _on_events(self, job: Job, events: tuple[Event, ...]) -> None:
        if job is not self._job:
            return
        state = self.state
        for event in events:
            if not job.cancelled or isinstance(event, Measured):
                state = state.after(event)
        self._set(state)

    @Slot(object)
    def _on_finished(self, job: Job) -> None:
        if job is not self._job:
            return
        self._job = None
        self._set(dataclasses.replace(self.state, running=False, phase=self.state.problem))

    @Slot(object, object)
    def _on_failed(self, job: Job | None, failure: Failure) -> None:
        if job is None or job is not self._job:
            return
        self._job = None
        self._set(dataclasses.replace(self.state, running=False, phase=failure.sentence, problem=failure.sentence))
        self.failed.emit(failure)


def _words(progress: Progress) -> str:
    """What comes after `progress`. On the CPU one more step follows those that are timed, watched for its memory."""
    if not progress.done:
        return f"Building the model, step 1 of {TIMED_STEPS}"
    if progress.done < TIMED_STEPS:
        return f"Step {progress.done + 1} of {TIMED_STEPS}"
    return "Measuring the memory of a step"
