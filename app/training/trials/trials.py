"""Tries a run out before it starts: its data, its cost, a learning rate, a batch size. One trial at a time."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot

from app.session.device import Device
from app.session.status import StatusLine
from app.session.tokenizers import Tokenizers
from app.session.training import Training
from app.worker.failures import Failure
from app.worker.job import BACKGROUND, Job
from app.worker.latest_job import LatestJob
from app.worker.notices import Notices
from app.worker.worker import Worker
from models.events import Event, Notice, Phase, Progress
from models.library.library import Library
from models.settings.run_spec import RunSpec
from models.training.trials.findings import BatchFound, BatchPoint, DataPreview, LrFound, LrPoint, RunCost

TITLES = {
    "preview": "Looking at the data",
    "forecast": "Measuring a run",
    "lr": "Finding a learning rate",
    "batch": "Finding a batch size",
}
"""The kinds of trials, in words."""


@dataclass(frozen=True, kw_only=True)
class TrialState:
    """What the trial is, read from what it said, and what earlier ones found.

    kind, spec: of the trial that is going on, or of the last one. phase: what it is doing. problem: why it ended
    without a result, '' where it did not. What ends in `_of` is the spec that a result belongs to.
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

    @property
    def status(self) -> StatusLine | None:
        """For the status bar, None while none is running."""
        if not self.running:
            return None
        return StatusLine(words=f"{TITLES[self.kind]}: {self.phase}", done=self.done, total=self.total)

    def begun(self, kind: str, spec: RunSpec | None) -> TrialState:
        """The state when a trial begins: what is to be found anew is forgotten."""
        begun = dataclasses.replace(
            self, kind=kind, spec=spec, running=True, phase="Waiting for the worker", problem="", done=0, total=0
        )
        if kind == "lr":
            return dataclasses.replace(begun, lr_points=(), lr=None, lr_of=spec)
        if kind == "batch":
            return dataclasses.replace(begun, batch_points=(), batch=None, batch_of=spec)
        return begun

    def after(self, event: Event) -> TrialState:
        """The state when `event` has come."""
        match event:
            case Phase():
                return dataclasses.replace(self, phase=event.name, done=0, total=0)
            case Progress():
                return dataclasses.replace(self, done=event.done, total=event.total)
            case Notice():
                return dataclasses.replace(self, problem=event.sentence)
            case DataPreview():
                return dataclasses.replace(self, preview=event, preview_of=self.spec)
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
    """Runs one trial at a time. state: the one that is going on, and what the last ones found.

    Args:
        priority: of its jobs: interactive ones are served between two steps of a training.

    Signals:
        changed(): `state` is new.
        failed(failure): it raised what nobody expected. What a user can mend is said in `state.problem`.
    """

    changed = Signal()
    failed = Signal(object)

    def __init__(self, worker: Worker, library: Library, parent: QObject, priority: str = BACKGROUND) -> None:
        super().__init__(parent)
        self._job = LatestJob(worker, self)
        self._job.events_came.connect(self._on_events)
        self._job.ended.connect(self._on_ended)
        self._job.failed.connect(self.failed)
        self._library, self._priority = library, priority
        self.state = TrialState()

    def start(self, kind: str, spec: RunSpec, device: str, *, below: int | None = None) -> None:
        """Try `spec` out, in place of whatever trial is going on. kind: one of TITLES; `below`: see find_batch."""

        def make() -> Iterator[Event]:
            return _sentences(_trial(self._library, kind, spec, device, below))

        self._start(kind, spec, make)

    def start_run(self, folder: Path, spec: RunSpec) -> None:
        """Look at the data of a run that there is."""

        def events() -> Iterator[Event]:
            from models.runs.run_folder import RunFolder
            from models.training.trials.preview import preview_data
            from models.training.trials.trial import prepared_run

            ready = prepared_run(self._library, RunFolder.open(folder))
            yield (yield from preview_data(ready.corpus, ready.tokenizer, ready.spec.model, ready.spec.train))

        self._start("preview", spec, lambda: _sentences(events()))

    def cancel(self) -> None:
        """End it after the step that it is at; what it found so far stands."""
        if self._job.busy and not self._job.ending:
            self._job.cancel()
            self._set(dataclasses.replace(self.state, phase="Stopping after this step"))

    def _start(self, kind: str, spec: RunSpec, make: Callable[[], Iterator[Event]]) -> None:
        self._job.submit(Job(TITLES[kind], make, self._priority))
        self._set(self.state.begun(kind, spec))

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
    """Tries runs out before they start: never beside a training, for which it makes way.

    Signals:
        changed(): `state` is new.
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
        training.began.connect(self._make_way)

    @property
    def state(self) -> TrialState:
        """The trial that is going on, and what the last ones found."""
        return self.runner.state

    @property
    def status(self) -> StatusLine | None:
        """For the status bar, None while none is running."""
        return self.state.status

    def start(self, kind: str, spec: RunSpec, *, below: int | None = None) -> bool:
        """Try a run out (a kind of TITLES) in place of any other trial; whether it began. `below`: see find_batch."""
        if self._training.active:
            name = self._training.state.name if self._training.state is not None else ""
            return self._notices.refuse(
                f"“{name}” is being trained: a trial beside it would hold it up and share its memory. Stop the "
                "training first, or wait until it ends."
            )
        self.runner.start(kind, spec, self._device.name, below=below)
        return True

    @Slot()
    def cancel(self) -> None:
        """End it after the step that it is at."""
        self.runner.cancel()

    @Slot()
    def _on_changed(self) -> None:
        self.changed.emit()
        if not self.state.running:
            self._device.changed.emit()  # its memory is free again
            self._tokenizers.list_changed.emit()  # it may have trained the tokenizer that the run wants

    @Slot()
    def _make_way(self) -> None:
        if self.state.running:
            self.cancel()  # the training is queued behind it


def _trial(library: Library, kind: str, spec: RunSpec, device: str, below: int | None) -> Iterator[Event]:
    """Worker's thread: the events of a trial, what it found as the last one."""
    if kind == "lr":
        from models.training.trials.lr_finder import find_lr

        yield (yield from find_lr(library, spec, device))
    elif kind == "batch":
        from models.training.trials.batch_finder import find_batch

        yield (yield from find_batch(library, spec, device, below=below))
    else:
        from models.training.trials.forecast import forecast

        yield from forecast(library, spec, device, measured=kind == "forecast")


def _sentences(events: Iterator[Event]) -> Generator[Event, None, None]:
    """The same; what a user can mend is said, and no failure of the program."""
    try:
        yield from events
    except ValueError as error:
        yield Notice(sentence=str(error))
