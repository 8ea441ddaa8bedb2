"""The current training run: its job on the worker, and its state, derived from its events."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Qt, QTimer, Signal, Slot

from terrarium.app.session.device import Device
from terrarium.app.session.remembered import Remembered
from terrarium.app.session.run_history import RunHistory
from terrarium.app.session.training_state import TrainingState
from terrarium.app.worker.failures import Failure
from terrarium.app.worker.job import Job
from terrarium.app.worker.notices import Notices
from terrarium.app.worker.worker import Worker
from terrarium.models.events import Blocked, Event, Notice, Phase, Progress, RunStarted, TrainMetrics
from terrarium.models.library.library import Library
from terrarium.models.library.run_index import RunIndex
from terrarium.models.library.run_record import inspect_run

if TYPE_CHECKING:
    from terrarium.models.recipes.job import RunJob
    from terrarium.models.runs.run_folder import RunFolder
    from terrarium.models.runs.run_queue import QueuedRun, RecipeSpec
    from terrarium.models.settings.run_spec import RunSpec
    from terrarium.models.training.trainer import Trainer


_TRY_AGAIN_MS = 5000
"""Delay after a Blocked event before the training tries again, in milliseconds."""
_NEXT_WORLD = "next world"


@dataclass(frozen=True, kw_only=True)
class HistoryCut(Event):
    """The history of a resumed run: first all of its logs, and once it has started, truncated at the checkpoint."""

    history: RunHistory


def _recipe_state(kind: str, recipe: str, files: tuple[str, ...], **others: Any) -> TrainingState:
    """Return the first state of a recipe of this kind and name."""
    from terrarium.models.recipes.mark import QUICK_START

    is_quickstart = kind == QUICK_START
    return TrainingState(recipe=recipe, quickstart=is_quickstart, files=files if is_quickstart else (), **others)


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
        self._run_job: RunJob | None = None  # on the worker thread
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

    def live_trainer(self, run_id: str = "") -> Trainer | None:
        """On the worker thread only: return the Trainer of the model in training, or None. run_id: only of this run."""
        return None if self._run_job is None else self._run_job.live(run_id)

    # -- Starting ---------------------------------------------------------------------------------------

    def start(self, spec: RunSpec) -> bool:
        """Prepare and train a new run; return whether it started."""

        def make() -> RunJob:
            from terrarium.models.recipes.job import RunJob, SingleRun
            from terrarium.models.training.prepare import prepare_run

            recipe = SingleRun(lambda library: prepare_run(library, spec))
            return RunJob(self._library, recipe, device=self._device.name)

        return self._attempt(lambda: self.begin(TrainingState(name=spec.name), make))

    def start_recipe(self, recipe: RecipeSpec) -> bool:
        """Carry out a recipe: a quick start, a task or a demonstration; return whether it started."""
        return self._attempt(lambda: self.begin_recipe(recipe))

    def start_quickstart(self, minutes: float | None = None, files: tuple[str, ...] = ()) -> bool:
        """Start the quick start (data, tokenizer, training, evaluation) on a new world or text files; return whether it
        started.
        """
        return self._attempt(lambda: self.begin_recipe(self.next_quickstart(minutes, files)))

    def next_quickstart(self, minutes: float | None = None, files: tuple[str, ...] = ()) -> RecipeSpec:
        """Return the next quick start, on a new world or text files, with the user's choices."""
        from terrarium.models.recipes.recipe_specs import quick_start_spec

        budget = self.quickstart_minutes if minutes is None else minutes
        return quick_start_spec(0 if files else self._next_world(), files, budget, portable=self.quickstart_portable)

    def resume_run(self, run_id: str) -> bool:
        """Resume a paused, stopped or interrupted run from its last checkpoint; return whether it started."""
        return self._attempt(lambda: self.begin_resumed(run_id))

    def _attempt(self, begin: Callable[[], None]) -> bool:
        if self.active:
            return self._notices.refuse("A run is already training. Stop it or wait.")
        return self._notices.attempt(begin)

    def _next_world(self) -> int:
        """Return a world seed that no quick start has used yet, counted from 0."""
        seed: int = self._remembered.get(_NEXT_WORLD, 0)
        self._remembered.set(_NEXT_WORLD, seed + 1)
        return seed

    def begin_queued(self, item: QueuedRun) -> None:
        """Prepare and train a queued new run."""

        def make() -> RunJob:
            from terrarium.models.recipes.job import RunJob, SingleRun
            from terrarium.models.runs.run_queue import RunQueue
            from terrarium.models.training.prepare import prepare_queued

            recipe = SingleRun(lambda library: prepare_queued(library, RunQueue(library), item))
            return RunJob(self._library, recipe, device=self._device.name)

        self.begin(TrainingState(name=item.name), make)

    def begin_recipe(self, recipe: RecipeSpec) -> None:
        """Carry out a recipe from its beginning."""
        from terrarium.models.recipes.recipe_specs import title_of

        def make() -> RunJob:
            from terrarium.models.recipes.recipes import make_job

            return make_job(self._library, recipe, self._device.name)

        files = tuple(recipe.arguments.get("files", ()))
        self.begin(_recipe_state(recipe.kind, recipe.name, files, name=title_of(recipe)), make)

    def begin_resumed(self, run_id: str) -> None:
        """Resume a run, and the recipe that it belongs to, from its last checkpoint. Raises ValueError if the run is
        gone or damaged.
        """
        from terrarium.models.library.run_record import checkpoint_step
        from terrarium.models.recipes.mark import RunMark, find_run_mark
        from terrarium.models.runs.run_folder import RunFolder

        info = self._index.find(run_id)
        run = RunFolder.open(info.folder)

        def make() -> RunJob:
            from terrarium.models.recipes.recipes import resume

            return resume(self._library, RunFolder.open(info.folder), device=self._device.name)

        checkpoint, data = run.latest_checkpoint(), run.spec.data
        saved_step = checkpoint_step(checkpoint) if checkpoint is not None else None
        mark = find_run_mark(run.folder) or RunMark(kind="")
        files = data.files if data.source == "files" else ()
        state = _recipe_state(mark.kind, mark.name, files, name=info.name, run_id=run.id, saved_step=saved_step)
        self.begin(state, make, resumed=run)

    def begin(self, state: TrainingState, make: Callable[[], RunJob], *, resumed: RunFolder | None = None) -> None:
        """Submit a job to the worker: `make` makes it there. resumed: the run whose history is shown at first."""
        assert not self.active
        self.history = RunHistory()
        self.history.is_loading = resumed is not None
        self.state = state
        self._job = Job(state.name, lambda: self._events(make, resumed), is_step=_ends_step)
        self._worker.submit(self._job)
        self.began.emit()
        self.changed.emit()

    def _events(self, make: Callable[[], RunJob], resumed: RunFolder | None) -> Generator[Event, None, None]:
        """On the worker thread: yield the events of the job."""
        job = self._job
        assert job is not None
        if resumed is not None:
            yield HistoryCut(history=RunHistory.read(resumed))  # shown while the model is being prepared
        self._run_job = make()
        try:
            with contextlib.closing(self._run_job.events()) as events:
                for event in events:
                    if isinstance(event, Blocked):
                        job.pause()  # an immediate retry would only fail again
                    if resumed is not None and isinstance(event, RunStarted) and event.run_id == resumed.id:
                        yield HistoryCut(history=RunHistory.read(resumed))  # no row was added since truncation
                    yield event
        finally:
            self._run_job = None

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
            if self._run_job is not None:
                self._run_job.request_stop(keep=keep, status=status)
            if self._run_job is None or gives_up:
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

    def _call(self, ask: Callable[[Trainer], object]) -> None:
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
            trainer = self.live_trainer(run_id)
            if trainer is not None:
                trainer.run.update(name=name)
            else:
                run_folder.rename_run(folder, name)
            self._renamed.emit()  # from the worker thread: a queued connection

        if self.state.run_id in ("", run_id):
            self.state = dataclasses.replace(self.state, name=name)
            self.changed.emit()
        self._worker.call(rename)

    # -- Following --------------------------------------------------------------------------------------

    def _move(self, event: str, **changes: Any) -> bool:
        """Apply an event of session.life, and other `changes` of the state; return whether the state changed."""
        before = self.state
        self.state = before.moved(event, **changes) if before is not None else None
        if self.state is before:
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
        if self.state.wants_pause and not self.state.wants_stop:
            self._job.step()
        else:
            self._job.resume()

    @Slot(object)
    def _on_finished(self, job: Job) -> None:
        if job is not self._job or self.state is None:
            return
        self._job = None
        self._move("ended", seconds_left=None)
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
        self._move("failed", problem=failure.sentence, seconds_left=None)
        self._notices.fail(failure)
        self.ended.emit()
