"""The one training that runs at a time: its job on the worker, and its state as its own events tell it."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Qt, QTimer, Signal, Slot

from app.session.device import Device
from app.session.remembered import Remembered
from app.session.run_history import RunHistory
from app.session.training_state import TrainingState
from app.worker.failures import Failure
from app.worker.job import Job
from app.worker.notices import Notices
from app.worker.worker import Worker
from models.events import Blocked, Event, Notice, Phase, Progress, RunStarted, TrainMetrics
from models.library.library import Library
from models.library.run_index import RunIndex

if TYPE_CHECKING:
    from models.runs.run_queue import RunQueue, Waiting
    from models.settings.run_spec import RunSpec


QUICKSTART_MINUTES = 3.0
_TRY_AGAIN_MS = 5000
"""How long after a Blocked the training asks again by itself."""
_NEXT_WORLD = "next world"


@dataclass(frozen=True, kw_only=True)
class HistoryCut(Event):
    """What a resumed run goes on from: its curves and samples, in the end without what came after the checkpoint."""

    history: RunHistory


def _ends_step(event: Event) -> bool:
    return isinstance(event, TrainMetrics | Phase | Progress)


class Training(QObject):
    """Starts, steers and follows a training; what cannot be done, and what it says, is told.

    state: the current or last training of this launch, None before the first. history: its curves and samples.

    Signals:
        began(): a training was handed to the worker.
        changed(): `state` is new (status, step, progress …).
        events_came(events): the training's own events, in order, after `state` and `history` took them in.
        ended(): the run is over and its folder is free.
        renamed(): the run's folder has its new name.
    """

    began = Signal()
    changed = Signal()
    events_came = Signal(object)
    ended = Signal()
    renamed = Signal()
    _renamed = Signal()

    def __init__(
        self,
        worker: Worker,
        library: Library,
        index: RunIndex,
        device: Device,
        remembered: Remembered,
        notices: Notices,
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._worker, self._library, self._index, self._device = worker, library, index, device
        self._remembered, self._notices = remembered, notices
        self._job: Job | None = None
        self._source: Any = None
        self.state: TrainingState | None = None
        self.history = RunHistory()
        self.quickstart_minutes = QUICKSTART_MINUTES
        self.retry = QTimer(self, singleShot=True, interval=_TRY_AGAIN_MS)
        """Asks again after a Blocked."""
        self.retry.timeout.connect(self._try_again)
        self._renamed.connect(self.renamed, Qt.ConnectionType.QueuedConnection)
        worker.job_events.connect(self._on_events)
        worker.job_paused.connect(self._on_paused)
        worker.job_resumed.connect(self._on_resumed)
        worker.job_finished.connect(self._on_finished)
        worker.job_failed.connect(self._on_failed)

    @property
    def active(self) -> bool:
        """Whether a training is going on (preparing, running, paused in memory, evaluating …)."""
        return self._job is not None

    def trains(self, run_id: str) -> bool:
        """Whether this run is trained now."""
        return self.active and self.state is not None and self.state.run_id == run_id

    def live_trainer(self) -> Any:
        """Worker's thread only: the Trainer whose model is being trained now, or None."""
        return getattr(self._source, "trainer", self._source)

    # -- Starting ---------------------------------------------------------------------------------------

    def start(self, spec: RunSpec) -> bool:
        """Prepare and train a new run; whether it began."""
        device = self._device.name

        def make() -> Iterator[Event]:
            from models.training.trainer import Trainer, prepare_run

            run = yield from prepare_run(self._library, spec)
            yield from self.drive(Trainer(run, self._library, device=device))

        return self._may_start() and self._notices.attempt(lambda: self.begin(TrainingState(name=spec.name), make))

    def start_quickstart(self, minutes: float | None = None, files: tuple[str, ...] = ()) -> bool:
        """Data, tokenizer, training, evaluation; whether it began. Each has a new world, unless it has text files."""
        budget = self.quickstart_minutes if minutes is None else minutes

        def start() -> None:
            self.begin_quickstart(budget, 0 if files else self._next_world(), files)

        return self._may_start() and self._notices.attempt(start)

    def resume_run(self, run_id: str) -> bool:
        """Go on with a paused, stopped or interrupted run from its last checkpoint; whether it began."""
        return self._may_start() and self._notices.attempt(lambda: self.begin_resumed(run_id))

    def _may_start(self) -> bool:
        if self.active:
            return self._notices.refuse("A training is going on already: stop it first, or wait until it ends.")
        return True

    def _next_world(self) -> int:
        """The seed of a world that no quick start had before; 0 for the first."""
        seed: int = self._remembered.get(_NEXT_WORLD, 0)
        self._remembered.set(_NEXT_WORLD, seed + 1)
        return seed

    def begin_waiting(self, queue: RunQueue, item: Waiting) -> None:
        """Prepare and train a new run that waited."""
        device = self._device.name

        def make() -> Iterator[Event]:
            from models.training.prepare import prepare_waiting
            from models.training.trainer import Trainer

            run = yield from prepare_waiting(self._library, queue, item)
            yield from self.drive(Trainer(run, self._library, device=device))

        self.begin(TrainingState(name=item.name), make)

    def begin_resumed(self, run_id: str) -> None:
        """Go on with a run from its last checkpoint; ValueError where it is gone or damaged."""
        from models.library.run_record import checkpoint_step
        from models.runs.run_folder import RunFolder

        info, device = self._index.find(run_id), self._device.name
        run = RunFolder.open(info.folder)
        self.history = RunHistory()
        self.history.is_loading = True

        def make() -> Iterator[Event]:
            from models.training.trainer import Trainer

            yield HistoryCut(history=RunHistory.read(run))  # for all to see while the model is made ready
            trainer = Trainer(RunFolder.open(info.folder), self._library, device=device)
            with contextlib.closing(self.drive(trainer)) as events:
                for event in events:
                    if isinstance(event, RunStarted):  # no row has come since the cut
                        yield HistoryCut(history=RunHistory.read(trainer.run))
                    yield event

        checkpoint = run.latest_checkpoint()
        saved_step = checkpoint_step(checkpoint) if checkpoint is not None else None
        self.begin(TrainingState(name=info.name, run_id=run.id, saved_step=saved_step), make, keep_history=True)

    def begin_quickstart(self, minutes: float, seed: int, files: tuple[str, ...] = ()) -> None:
        """The whole loop, from data to evaluation: on the little world of `seed`, or on text files."""
        device = self._device.name

        def make() -> Iterator[Event]:
            from models.recipes.quickstart import QuickStart

            quickstart = QuickStart(self._library, minutes=minutes, device=device, seed=seed, files=files)
            yield from self.drive(quickstart)

        self.begin(TrainingState(name="Quick start", quickstart=True, files=files), make)

    def begin(self, state: TrainingState, make: Callable[[], Iterator[Event]], *, keep_history: bool = False) -> None:
        """Hand a training to the worker: `make` prepares it there, and drives it with `drive`."""
        assert not self.active
        if not keep_history:
            self.history = RunHistory()
        self.state = state
        # Set before it is submitted: the worker reads it in `drive`.
        self._job = Job(state.name, make, is_step=_ends_step)
        self._worker.submit(self._job)
        self.began.emit()
        self.changed.emit()

    def drive(self, source: Any) -> Generator[Event, None, None]:
        """Worker's thread: drive `source`, a Trainer or a QuickStart."""
        job = self._job
        assert job is not None
        self._source = source
        try:
            with contextlib.closing(source.events()) as events:
                for event in events:
                    if isinstance(event, Blocked):
                        job.pause()  # asking again at once would only fail again
                    yield event
        finally:
            self._source = None

    # -- Steering ---------------------------------------------------------------------------------------

    def pause(self, *, free: bool = False) -> None:
        """Ask for no further event; the model stays in memory. Nothing happens where it is held up already.

        free: save, end, and free the device instead (go on with `resume_run`).
        """
        if free:
            self.stop(status="paused")
        elif self._job is not None and self.state is not None and self.state.status == self.state.going_on:
            self._job.pause()
            self._set(status="pausing")

    def resume(self) -> None:
        """Go on after `pause`, or try again after a Blocked."""
        if self._job is not None:
            self._job.resume()

    def step(self) -> None:
        """While paused: one training step."""
        if self._job is not None:
            self._job.step()

    def stop(self, *, keep: bool = True, status: str = "stopped") -> None:
        """End at the next step boundary, saving first where `keep`. Before there is a run, just cancel.

        What waits for a full disk ends at once where it need not be kept.
        """
        job = self._job
        if job is None or self.state is None:
            return
        gives_up = self.state.status == "blocked" and not keep

        def ask() -> None:
            if self._source is not None:
                self._source.request_stop(keep=keep, status=status)
            if self._source is None or gives_up:
                job.cancel()
            job.resume()

        self._set(status="stopping")
        self._worker.call(ask)

    def save(self) -> None:
        """Write a checkpoint at the next step."""
        self._call(lambda trainer: trainer.save())

    def set_lr_scale(self, scale: float) -> None:
        """From the next step on, multiply the schedule's learning rate by `scale`."""
        self._call(lambda trainer: trainer.set_lr(scale))

    def sample(self, prompt: str) -> None:
        """Write a sample after `prompt` at the next step."""
        self._call(lambda trainer: trainer.sample(prompt))

    def _call(self, ask: Callable[[Any], object]) -> None:
        """Run `ask(trainer)` on the worker between two events, where there is a trainer."""

        def run() -> None:
            trainer = self.live_trainer()
            if trainer is not None:
                ask(trainer)

        self._worker.call(run)

    def rename(self, name: str) -> None:
        """Give the run that is being trained another name, even if it is only being opened or has just ended."""
        from models.runs import run_folder

        assert self.state is not None
        folder = self._library.runs / self.state.run_id

        def rename() -> None:
            trainer = self.live_trainer()
            if trainer is not None:
                trainer.run.update(name=name)
            else:
                run_folder.rename_run(folder, name)
            self._renamed.emit()  # from the worker's thread: queued

        self._set(name=name)
        self._worker.call(rename)

    # -- Following --------------------------------------------------------------------------------------

    def _set(self, **changes: Any) -> None:
        assert self.state is not None
        self.state = dataclasses.replace(self.state, **changes)
        self.changed.emit()

    @Slot(object, object)
    def _on_events(self, job: Job, events: tuple[Event, ...]) -> None:
        if job is not self._job or self.state is None:
            return
        state = self.state
        for event in events:
            state = state.after(event)
            if isinstance(event, HistoryCut):
                self.history.become(event.history)
                self.history.is_loading = False
            self.history.add(event)
        self.state = state
        if state.status == "blocked":
            self.retry.start()
        self.changed.emit()
        self.events_came.emit(events)
        for event in events:
            if isinstance(event, Notice):
                self._notices.say(event.sentence)

    @Slot(object)
    def _on_paused(self, job: Job) -> None:
        if job is self._job and self.state is not None and self.state.status not in ("blocked", "stopping"):
            self._set(status="paused")

    @Slot(object)
    def _on_resumed(self, job: Job) -> None:
        if job is self._job and self.state is not None and self.state.status in ("paused", "pausing"):
            self._set(status=self.state.going_on)

    @Slot()
    def _try_again(self) -> None:
        if self.state is not None and self.state.status == "blocked":
            self.resume()

    @Slot(object)
    def _on_finished(self, job: Job) -> None:
        if job is not self._job or self.state is None:
            return
        self._job = None
        self._set(status=self.state.outcome or "stopped", over=True, seconds_left=None)
        self.ended.emit()

    @Slot(object, object)
    def _on_failed(self, job: Job | None, failure: Failure) -> None:
        if job is None:  # a steering call
            self._notices.fail(failure)
        if job is None or job is not self._job:
            return
        self._job, self.history.is_loading = None, False
        self._set(status="failed", over=True, problem=failure.sentence, seconds_left=None)
        self._notices.fail(failure)
        self.ended.emit()
