"""Trials of a run before it starts: data preview, cost, learning rate, batch size, base rate. One at a time."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot

from terrarium.app.session.device import Device
from terrarium.app.session.status import StatusLine
from terrarium.app.session.tokenizers import Tokenizers
from terrarium.app.session.training import Training
from terrarium.app.worker.failures import Failure
from terrarium.app.worker.job import BACKGROUND, Job
from terrarium.app.worker.latest_job import LatestJob
from terrarium.app.worker.notices import Notices
from terrarium.app.worker.worker import Worker
from terrarium.models.events import Event, Notice, Phase, Progress
from terrarium.models.library.library import Library
from terrarium.models.settings.run_spec import RunSpec
from terrarium.models.training.estimates.findings import (
    BaseRate,
    BatchFound,
    BatchPoint,
    DataPreview,
    LrFound,
    LrPoint,
    RunCost,
)

TITLES = {
    "preview": "Previewing the data",
    "forecast": "Measuring a run",
    "lr": "Finding a learning rate",
    "batch": "Finding a batch size",
    "base": "Measuring the base rate",
}
"""Kind of trial -> its title."""


@dataclass(frozen=True, kw_only=True)
class TrialState:
    """The state of the running trial, folded from its events, with the results of earlier ones.

    kind, spec: those of the running or last trial. phase: its current activity. problem: why it ended without a
    result, else ''. Fields ending in `_of` are the specs of the results.
    """

    kind: str = ""
    spec: RunSpec | None = None
    running: bool = False
    phase: str = ""
    problem: str = ""
    done: int = 0
    total: int = 0
    preview: DataPreview | None = None
    preview_of: RunSpec | None = None
    cost: RunCost | None = None
    cost_of: RunSpec | None = None
    lr_points: tuple[LrPoint, ...] = ()
    lr: LrFound | None = None
    lr_of: RunSpec | None = None
    batch_points: tuple[BatchPoint, ...] = ()
    batch: BatchFound | None = None
    batch_of: RunSpec | None = None
    base: BaseRate | None = None
    base_of: RunSpec | None = None

    @property
    def status(self) -> StatusLine | None:
        """The line in the status bar, None if no trial is running."""
        if not self.running:
            return None
        return StatusLine(words=f"{TITLES[self.kind]}: {self.phase}", done=self.done, total=self.total)

    def started(self, kind: str, spec: RunSpec | None) -> TrialState:
        """Return the state when a trial starts. A finder's earlier result is dropped; others stay until replaced."""
        started = dataclasses.replace(
            self, kind=kind, spec=spec, running=True, phase="Waiting for the worker", problem="", done=0, total=0
        )
        if kind == "lr":
            return dataclasses.replace(started, lr_points=(), lr=None, lr_of=spec)
        if kind == "batch":
            return dataclasses.replace(started, batch_points=(), batch=None, batch_of=spec)
        return started

    def after(self, event: Event) -> TrialState:
        """Return the state after `event`."""
        match event:
            case Phase():
                return dataclasses.replace(self, phase=event.name, done=0, total=0)
            case Progress():
                return dataclasses.replace(self, done=event.done, total=event.total)
            case Notice():
                return dataclasses.replace(self, problem=event.sentence)
            case DataPreview():
                return dataclasses.replace(self, preview=event, preview_of=self.spec)
            case BaseRate():
                return dataclasses.replace(self, base=event, base_of=self.spec)
            case RunCost():
                return dataclasses.replace(self, cost=event, cost_of=self.spec)
            case LrPoint():
                return dataclasses.replace(self, lr_points=(*self.lr_points, event))
            case LrFound():
                return dataclasses.replace(self, lr=event)
            case BatchPoint():
                points = sorted((*self.batch_points, event), key=lambda point: point.batch_size)
                return dataclasses.replace(self, batch_points=tuple(points))
            case BatchFound():
                return dataclasses.replace(self, batch=event)
        return self


class TrialRunner(QObject):
    """Runs one trial at a time. state: the running trial and the latest results.

    Args:
        priority: the priority of its jobs; interactive ones run between two steps of a training run.

    Signals:
        changed(): `state` has changed.
        failed(failure): an unexpected error. Errors that the user can fix appear only in `state.problem`.
    """

    changed = Signal()
    failed = Signal(object)

    def __init__(self, worker: Worker, library: Library, parent: QObject, priority: str = BACKGROUND) -> None:
        super().__init__(parent)
        self._job = LatestJob(worker, self)
        self._job.events_received.connect(self._on_events)
        self._job.ended.connect(self._on_ended)
        self._job.failed.connect(self.failed)
        self._library, self._priority = library, priority
        self.state = TrialState()

    def start(self, kind: str, spec: RunSpec, device: str, *, below: int | None = None) -> None:
        """Start a trial of `spec`, cancelling a running one. kind: one of TITLES; `below`: see find_batch."""

        def make() -> Iterator[Event]:
            return _errors_as_notices(_trial(self._library, kind, spec, device, below))

        self._start(kind, spec, make)

    def start_run(self, folder: Path, spec: RunSpec) -> None:
        """Preview the data of an existing run."""

        def events() -> Iterator[Event]:
            from terrarium.models.runs.run_folder import RunFolder
            from terrarium.models.training.estimates.preview import preview_data
            from terrarium.models.training.estimates.trial import prepared_run

            yield (yield from preview_data(prepared_run(self._library, RunFolder.open(folder))))

        self._start("preview", spec, lambda: _errors_as_notices(events()))

    def cancel(self) -> None:
        """Stop after the current step, retaining the results so far."""
        if self._job.busy and not self._job.ending:
            self._job.cancel()
            self._set(dataclasses.replace(self.state, phase="Stopping after the current step"))

    def _start(self, kind: str, spec: RunSpec, make: Callable[[], Iterator[Event]]) -> None:
        self._job.submit(Job(TITLES[kind], make, self._priority))
        self._set(self.state.started(kind, spec))

    def _set(self, state: TrialState) -> None:
        self.state = state
        self.changed.emit()

    @Slot(object, object)
    def _on_events(self, job: Job, events: tuple[Event, ...]) -> None:
        state = self.state
        for event in events:
            if not (job.cancelled and isinstance(event, Phase | Progress)):
                state = state.after(event)
        self._set(state)

    @Slot(object, object)
    def _on_ended(self, job: Job, failure: Failure | None) -> None:
        problem = self.state.problem if failure is None else failure.sentence
        self._set(dataclasses.replace(self.state, running=False, phase="", problem=problem))


class Trials(QObject):
    """Trials of runs before they start. They never run during training: a run that starts cancels the trial.

    Signals:
        changed(): `state` has changed.
    """

    changed = Signal()

    def __init__(
        self,
        worker: Worker,
        library: Library,
        device: Device,
        training: Training,
        tokenizers: Tokenizers,
        notices: Notices,
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._device, self._training, self._tokenizers, self._notices = device, training, tokenizers, notices
        self.runner = TrialRunner(worker, library, self)
        self.runner.changed.connect(self._on_changed)
        self.runner.failed.connect(notices.fail)
        training.began.connect(self._yield_to_training)

    @property
    def state(self) -> TrialState:
        """The running trial and the latest results."""
        return self.runner.state

    @property
    def status(self) -> StatusLine | None:
        """The line in the status bar, None if no trial is running."""
        return self.state.status

    def start(self, kind: str, spec: RunSpec, *, below: int | None = None) -> bool:
        """Start a trial of a kind in TITLES, cancelling any other. Return whether it started. below: see find_batch."""
        if self._training.active:
            name = self._training.state.name if self._training.state is not None else ""
            return self._notices.refuse(
                f"“{name}” is training: a trial would slow it down and share its memory. Stop it, or wait until "
                "it ends."
            )
        self.runner.start(kind, spec, self._device.name, below=below)
        return True

    @Slot()
    def cancel(self) -> None:
        """Stop after the current step."""
        self.runner.cancel()

    @Slot()
    def _on_changed(self) -> None:
        self.changed.emit()
        if not self.state.running:
            self._device.changed.emit()  # its memory was freed
            self._tokenizers.list_changed.emit()  # it may have trained the tokenizer that the run wants

    @Slot()
    def _yield_to_training(self) -> None:
        if self.state.running:
            self.cancel()  # the training run waits for it


def _trial(library: Library, kind: str, spec: RunSpec, device: str, below: int | None) -> Iterator[Event]:
    """Yield the events of a trial, its result last; runs on the worker thread."""
    if kind == "lr":
        from terrarium.models.training.estimates.lr_finder import find_lr

        yield (yield from find_lr(library, spec, device))
    elif kind == "batch":
        from terrarium.models.training.estimates.batch_finder import find_batch

        yield (yield from find_batch(library, spec, device, below=below))
    elif kind == "base":
        from terrarium.models.training.estimates.base_rate import measure_base_rate

        yield (yield from measure_base_rate(library, spec, device))
    else:
        from terrarium.models.training.estimates.forecast import forecast

        yield from forecast(library, spec, device, measured=kind == "forecast")


def _errors_as_notices(events: Iterator[Event]) -> Generator[Event, None, None]:
    """Yield `events`; a ValueError becomes a Notice instead of a failure."""
    try:
        yield from events
    except ValueError as error:
        yield Notice(sentence=str(error))
