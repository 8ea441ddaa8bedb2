"""The current training run: its job on the worker, and its state, derived from its events."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Qt, QTimer, Signal, Slot

from terrarium.app.session.device import Device
from terrarium.app.session.remembered import Remembered
from terrarium.app.session.run_history import RunHistory
from terrarium.app.session.training_state import Move, TrainingState
from terrarium.app.worker.failures import Failure
from terrarium.app.worker.job import Job
from terrarium.app.worker.notices import Notices
from terrarium.app.worker.worker import Worker
from terrarium.models.events import Blocked, Event, Notice, Phase, Progress, RunStarted, TrainMetrics
from terrarium.models.library.library import Library
from terrarium.models.library.run_index import RunIndex
from terrarium.models.library.run_record import inspect_run

if TYPE_CHECKING:
    from terrarium.models.recipes.tasks.tasks_table import TaskRecipe
    from terrarium.models.runs.run_queue import QueuedRecipe, QueuedRun
    from terrarium.models.settings.run_spec import RunSpec


_TRY_AGAIN_MS = 5000
"""Delay after a Blocked event before the training tries again, in milliseconds."""
_NEXT_WORLD = "next world"


@dataclass(frozen=True, kw_only=True)
class HistoryCut(Event):
    """The history of a resumed run: first all of its logs, and once it has started, truncated at the checkpoint."""

    history: RunHistory


def _ends_step(event: Event) -> bool:
    return isinstance(event, TrainMetrics | Phase | Progress)


class Training(QObject):
    """Starts, controls and follows a training run; its problems and messages are reported as notices.

    state: the state of the current or last run of this launch, None before the first. history: its curves and samples.

    Signals:
        began(): a run was submitted to the worker.
        changed(): `state` has changed (status, step, progress …).
        events_received(events): events of the run, in order, emitted after `state` and `history` were updated.
        ended(): the run is over and its folder is unlocked.
        renamed(): the new name of the run is saved in its folder.
        free_requested(): the user wants to free the device's memory.
    """

    began = Signal()
    changed = Signal()
    events_received = Signal(object)
    ended = Signal()
    renamed = Signal()
    free_requested = Signal()
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
        self.quickstart_minutes: float | None = None
        self.quickstart_portable = False
        self.retry = QTimer(self, singleShot=True, interval=_TRY_AGAIN_MS)
        """The timer that retries after a Blocked event."""
        self.retry.timeout.connect(self._try_again)
        self._renamed.connect(self.renamed, Qt.ConnectionType.QueuedConnection)
        worker.job_events.connect(self._on_events)
        worker.job_paused.connect(self._on_paused)
        worker.job_resumed.connect(self._on_resumed)
        worker.job_finished.connect(self._on_finished)
        worker.job_failed.connect(self._on_failed)

    @property
    def active(self) -> bool:
        """Whether a run is active (preparing, running, paused in memory, evaluating …)."""
        return self._job is not None

    @property
    def why_not_start(self) -> str:
        """Why training or measuring is impossible now, as a sentence; "" if it is possible."""
        return "A run is training: stop it, or wait until it ends." if self.active else ""

    def trains(self, run_id: str) -> bool:
        """Return whether this run is training now."""
        return self.active and self.state is not None and self.state.run_id == run_id

    def live_trainer(self) -> Any:
        """On the worker thread only: return the Trainer of the model in training, or None."""
        return getattr(self._source, "trainer", self._source)

    # -- Starting ---------------------------------------------------------------------------------------

    def start(self, spec: RunSpec) -> bool:
        """Prepare and train a new run; return whether it started."""
        device = self._device.name

        def make() -> Iterator[Event]:
            from terrarium.models.training.trainer import Trainer, prepare_run

            run = yield from prepare_run(self._library, spec)
            yield from self.drive(Trainer(run, self._library, device=device))

        return self._may_start() and self._notices.attempt(lambda: self.begin(TrainingState(name=spec.name), make))

    def start_quickstart(self, minutes: float | None = None, files: tuple[str, ...] = ()) -> bool:
        """Start the quick start (data, tokenizer, training, evaluation) on a new world or text files; return whether it
        started."""
        budget = self.quickstart_minutes if minutes is None else minutes

        def start() -> None:
            self.begin_quickstart(budget, 0 if files else self._next_world(), files)

        return self._may_start() and self._notices.attempt(start)

    def start_recipe(self, recipe: TaskRecipe, seed: int = 0, parent: str = "", data: str = "") -> bool:
        """Train on a task and score the result; arguments as in TaskRun. Return whether it started."""
        device = self._device.name

        def make() -> Iterator[Event]:
            from terrarium.models.recipes.tasks.running import TaskRun

            yield from self.drive(TaskRun(self._library, recipe, device=device, seed=seed, parent=parent, data=data))

        state = TrainingState(name=recipe.title, recipe=recipe.name)
        return self._may_start() and self._notices.attempt(lambda: self.begin(state, make))

    def start_demonstration(
        self, name: str, base: str, seed: int = 0, own: str = "", rules: Sequence[str] = ()
    ) -> bool:
        """Run a demonstration of alignment; arguments as in DemonstrationRun. Return whether it started."""
        from terrarium.models.recipes.demonstrations.demonstrations_table import DEMONSTRATIONS

        device = self._device.name

        def make() -> Iterator[Event]:
            from terrarium.models.recipes.demonstrations.running import DemonstrationRun

            yield from self.drive(
                DemonstrationRun(self._library, name, base, seed=seed, own=own, rules=rules, device=device)
            )

        state = TrainingState(name=DEMONSTRATIONS[name].title, recipe=name)
        return self._may_start() and self._notices.attempt(lambda: self.begin(state, make))

    def queueable_quickstart(self, files: tuple[str, ...] = ()) -> QueuedRecipe:
        """Return the quick start that `start_quickstart` would start now, for the queue."""
        from terrarium.models.recipes.queued import queued_quick_start

        seed = 0 if files else self._next_world()
        return queued_quick_start(seed, files, self.quickstart_minutes, portable=self.quickstart_portable)

    def resume_run(self, run_id: str) -> bool:
        """Resume a paused, stopped or interrupted run from its last checkpoint; return whether it started."""
        return self._may_start() and self._notices.attempt(lambda: self.begin_resumed(run_id))

    def _may_start(self) -> bool:
        if self.active:
            return self._notices.refuse("A run is already training. Stop it or wait.")
        return True

    def _next_world(self) -> int:
        """Return a world seed that no quick start has used yet, counted from 0."""
        seed: int = self._remembered.get(_NEXT_WORLD, 0)
        self._remembered.set(_NEXT_WORLD, seed + 1)
        return seed

    def begin_queued(self, item: QueuedRun) -> None:
        """Prepare and train a queued new run."""
        device = self._device.name

        def make() -> Iterator[Event]:
            from terrarium.models.runs.run_queue import RunQueue
            from terrarium.models.training.prepare import prepare_queued
            from terrarium.models.training.trainer import Trainer

            run = yield from prepare_queued(self._library, RunQueue(self._library), item)
            yield from self.drive(Trainer(run, self._library, device=device))

        self.begin(TrainingState(name=item.name), make)

    def begin_recipe(self, recipe: QueuedRecipe, name: str) -> None:
        """Run a queued recipe."""
        from terrarium.models.recipes.mark import QUICK_START

        device = self._device.name

        def make() -> Iterator[Event]:
            from terrarium.models.recipes.queued import make_recipe

            yield from self.drive(make_recipe(self._library, recipe, device))

        files = tuple(recipe.arguments.get("files", ()))
        is_quickstart = recipe.kind == QUICK_START
        state = TrainingState(name=name, recipe=recipe.name, quickstart=is_quickstart, files=files)
        self.begin(state, make)

    def begin_resumed(self, run_id: str) -> None:
        """Resume a run from its last checkpoint. Raises ValueError if the run is gone or damaged."""
        from terrarium.models.library.run_record import checkpoint_step
        from terrarium.models.recipes.mark import QUICK_START, find_run_mark
        from terrarium.models.runs.run_folder import RunFolder

        info, device = self._index.find(run_id), self._device.name
        run = RunFolder.open(info.folder)
        self.history = RunHistory()
        self.history.is_loading = True

        def make() -> Iterator[Event]:
            from terrarium.models.recipes.resuming import resume

            yield HistoryCut(history=RunHistory.read(run))  # shown while the model is being prepared
            reopened = RunFolder.open(info.folder)
            with contextlib.closing(self.drive(resume(self._library, reopened, device=device))) as events:
                for event in events:
                    if isinstance(event, RunStarted) and event.run_id == run_id:  # no row was added since truncation
                        yield HistoryCut(history=RunHistory.read(reopened))
                    yield event

        checkpoint = run.latest_checkpoint()
        saved_step = checkpoint_step(checkpoint) if checkpoint is not None else None
        mark, data = find_run_mark(run.folder), run.spec.data
        is_quick = mark is not None and mark.kind == QUICK_START
        state = TrainingState(
            name=info.name,
            run_id=run.id,
            saved_step=saved_step,
            recipe=mark.name if mark is not None else "",
            quickstart=is_quick,
            files=data.files if is_quick and data.source == "files" else (),
        )
        self.begin(state, make, keep_history=True)

    def begin_quickstart(self, minutes: float | None, seed: int, files: tuple[str, ...] = ()) -> None:
        """Run the whole loop from data to evaluation, on the Tiny World of `seed` or on text files."""
        device, portable = self._device.name, self.quickstart_portable

        def make() -> Iterator[Event]:
            from terrarium.models.recipes.quickstart import QuickStart

            quickstart = QuickStart(
                self._library, minutes=minutes, device=device, seed=seed, files=files, portable=portable
            )
            yield from self.drive(quickstart)

        self.begin(TrainingState(name="Quick start", quickstart=True, files=files), make)

    def begin(self, state: TrainingState, make: Callable[[], Iterator[Event]], *, keep_history: bool = False) -> None:
        """Submit a run to the worker: `make` prepares it there, and runs it with `drive`."""
        assert not self.active
        if not keep_history:
            self.history = RunHistory()
        self.state = state
        # Set before the job is submitted: the worker reads it in `drive`.
        self._job = Job(state.name, make, is_step=_ends_step)
        self._worker.submit(self._job)
        self.began.emit()
        self.changed.emit()

    def drive(self, source: Any) -> Generator[Event, None, None]:
        """On the worker thread: run `source` and yield its events.

        source: a Trainer, or a recipe whose attribute `trainer` is its current Trainer, or None.
        """
        job = self._job
        assert job is not None
        self._source = source
        try:
            with contextlib.closing(source.events()) as events:
                for event in events:
                    if isinstance(event, Blocked):
                        job.pause()  # an immediate retry would only fail again
                    yield event
        finally:
            self._source = None

    # -- Control ----------------------------------------------------------------------------------------

    def pause(self, *, free: bool = False) -> None:
        """Pause after the current step, or, while blocked, once it is unblocked. The model stays in memory.

        free: save, stop, and free the device instead (`resume_run` continues).
        """
        if free:
            self.stop(status="paused")
            self.free_requested.emit()
        elif self._move("pause") and self._job is not None:
            self._job.pause()

    def resume(self) -> None:
        """Continue after `pause`, or retry after a Blocked event."""
        if self._job is not None:
            self._move("resume")
            self._job.resume()

    def step(self) -> None:
        """Run one training step while paused."""
        if self._job is not None:
            self._job.step()

    def stop(self, *, keep: bool = True, status: str = "stopped") -> None:
        """Stop at the next step boundary, saving first if `keep`. If the run does not exist yet, just cancel.

        A run blocked by a full disk stops immediately unless it must be saved.
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

        self._move("stop")
        self._worker.call(ask)

    def save(self) -> None:
        """Write a checkpoint at the next step."""
        self._call(lambda trainer: trainer.save())

    def set_lr_scale(self, scale: float) -> None:
        """From the next step on, multiply the schedule's learning rate by `scale`."""
        self._call(lambda trainer: trainer.set_lr(scale))

    def set_beta(self, beta: float) -> None:
        """From the next step on, weight the KL divergence from the parent model by `beta`; not for reward models."""
        self._call(lambda trainer: trainer.set_beta(beta))

    def sample(self, prompt: str) -> None:
        """Generate a sample from `prompt` at the next step."""
        self._call(lambda trainer: trainer.sample(prompt))

    def _call(self, ask: Callable[[Any], object]) -> None:
        """Run `ask(trainer)` on the worker between two events, if there is a trainer."""

        def run() -> None:
            trainer = self.live_trainer()
            if trainer is not None:
                ask(trainer)

        self._worker.call(run)

    def rename(self, run_id: str, name: str) -> None:
        """Rename the run in training, even while it is being prepared or opened, or has just ended."""
        from terrarium.models.runs import run_folder

        assert self.state is not None
        folder = self._library.runs / run_id

        def rename() -> None:
            trainer = self.live_trainer()
            if trainer is not None and trainer.run.id == run_id:
                trainer.run.update(name=name)
            else:
                run_folder.rename_run(folder, name)
            self._renamed.emit()  # from the worker thread: a queued connection

        if self.state.run_id in ("", run_id):
            self._set(name=name)
        self._worker.call(rename)

    # -- Following --------------------------------------------------------------------------------------

    def _set(self, **changes: Any) -> None:
        assert self.state is not None
        self.state = dataclasses.replace(self.state, **changes)
        self.changed.emit()

    def _move(self, move: Move) -> bool:
        """Apply a move to the state; return whether the state changed."""
        before = self.state
        self.state = before.moved(move) if before is not None else None
        if self.state == before:
            return False
        self.changed.emit()
        return True

    @Slot(object, object)
    def _on_events(self, job: Job, events: tuple[Event, ...]) -> None:
        if job is not self._job or self.state is None:
            return
        state = self.state
        for event in events:
            if isinstance(event, RunStarted) and state.run_id not in ("", event.run_id):
                self.history = RunHistory()  # a recipe trains the next run; views of the previous run keep its history
            state = state.after(event)
            if isinstance(event, HistoryCut):
                self.history.replace_with(event.history)
                self.history.is_loading = False
            self.history.add(event)
        self.state = state
        if state.status == "blocked":
            self.retry.start()
        self.changed.emit()
        self.events_received.emit(events)
        for event in events:
            if isinstance(event, Notice):
                self._notices.say(event.sentence)

    @Slot(object)
    def _on_paused(self, job: Job) -> None:
        if job is self._job:
            self._move("held")

    @Slot(object)
    def _on_resumed(self, job: Job) -> None:
        if job is self._job:
            self._move("released")

    @Slot()
    def _try_again(self) -> None:
        """Retry after a Blocked event, for a single step if a pause is pending."""
        if self._job is None or self.state is None or self.state.status != "blocked":
            return
        if self.state.wants_pause and not self.state.ends:
            self._job.step()
        else:
            self._job.resume()

    @Slot(object)
    def _on_finished(self, job: Job) -> None:
        if job is not self._job or self.state is None:
            return
        self._job = None
        self._set(status=self.state.outcome or "stopped", over=True, seconds_left=None)
        state = self.state
        ended_early = inspect_run(self._library.runs / state.run_id).early_stop if state.run_id else ""
        if ended_early and state.status == "stopped":
            self._notices.say(f"“{state.name}”: {ended_early}")
        self.ended.emit()

    @Slot(object, object)
    def _on_failed(self, job: Job | None, failure: Failure) -> None:
        if job is None:  # a control call
            self._notices.fail(failure)
        if job is None or job is not self._job:
            return
        self._job, self.history.is_loading = None, False
        self._set(status="failed", over=True, problem=failure.sentence, seconds_left=None)
        self._notices.fail(failure)
        self.ended.emit()
