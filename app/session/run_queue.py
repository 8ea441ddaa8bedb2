"""Runs that wait for their turn, and what is made of runs: forks, and files for others."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from app.session.runs import Trainings
from app.worker.aside import Aside
from app.worker.failures import describe
from models.events import RunStarted
from models.library.library import Library
from models.runs.run_queue import RunQueue, Waiting

if TYPE_CHECKING:
    from models.settings.run_spec import RunSpec, TrainConfig

_LOOK_MS = 2000
"""How often the queue on disk is looked at, which commands may change, too."""


class Queueing(Trainings):
    """The trainings, with what waits to be trained after them, and forks.

    Signals (and those of Trainings):
        queue_changed(): `waiting` or `queue_goes_on` are new.
    """

    queue_changed = Signal()

    def __init__(self, library: Library, parent: QObject | None = None) -> None:
        super().__init__(library, parent)
        self._queue = RunQueue(library)
        self._waiting: list[Waiting] = []
        self._goes_on = False
        self._begun: Waiting | None = None  # what left for the worker, and has not begun to train yet
        self._by_itself = False
        self._discarded = ""
        self._queue_problem = ""
        self._start_fork = False
        self._forks = Aside(self)
        self._forks.done.connect(self._on_forked)
        self._forks.failed.connect(self.notices.fail)
        self._exports = Aside(self)
        self._exports.done.connect(self._on_exported)
        self._exports.failed.connect(self.notices.fail)
        self._look = QTimer(self, interval=_LOOK_MS)
        self._look.timeout.connect(self._read_queue)
        self._look.start()
        self.training_events.connect(self._on_queue_events)
        self.training_ended.connect(self._on_turn_ended)
        self._read_queue()

    # -- The queue --------------------------------------------------------------------------------------

    @property
    def waiting(self) -> Sequence[Waiting]:
        """What waits, the next one first."""
        return self._waiting

    @property
    def queue_goes_on(self) -> bool:
        """Whether the next one begins as soon as nothing is trained."""
        return self._goes_on

    @property
    def began_by_itself(self) -> bool:
        """Whether the present training followed another one out of the queue, without anybody's click."""
        return self._by_itself

    def queue_training(self, specs: Sequence[RunSpec], tags: Sequence[str] = ()) -> bool:
        """Let new runs wait; whether that worked. Where something is trained now, they follow it by themselves."""
        return self._change(lambda: self._queue.add_new(specs, tags)) and self._follow_training()

    def queue_run(self, run_id: str) -> bool:
        """Let a run wait to go on from its last checkpoint; whether that worked."""

        def add() -> None:
            self._queue.add_run(run_id, self.find_run(run_id).name)

        return self._change(add) and self._follow_training()

    def move_waiting(self, item_id: str, to: int) -> bool:
        """Put one that waits at another place, counted from 0 in the list without it."""
        return self._change(lambda: self._queue.move(item_id, to))

    def retry_waiting(self, item_id: str) -> bool:
        """Let one that could not begin be tried again."""
        return self._change(lambda: self._queue.set_problem(item_id, ""))

    def remove_waiting(self, item_id: str) -> Waiting | None:
        """Take one out, and return it for `put_back_waiting`; None where it is gone."""
        removed: list[Waiting] = []
        self._change(lambda: removed.append(self._queue.remove(item_id)))
        return removed[0] if removed else None

    def put_back_waiting(self, item: Waiting, at: int) -> bool:
        """Undo `remove_waiting`."""
        return self._change(lambda: self._queue.put_back(item, at))

    def start_queue(self) -> bool:
        """Train what waits, one after the other, from now on; whether this window may."""
        if not self.notices.attempt(self._queue.begin_draining):
            return False
        self._goes_on = True
        self.queue_changed.emit()
        self._begin_next(by_itself=False)
        return True

    def hold_queue(self) -> None:
        """Begin nothing more by itself; what is trained now goes on."""
        self._goes_on = False
        self._queue.end_draining()
        self.queue_changed.emit()

    def _follow_training(self) -> bool:
        return self.start_queue() if self.training_active and not self._goes_on else True

    def _change(self, change: Callable[[], object]) -> bool:
        done = self.notices.attempt(change)
        self._read_queue()
        return done

    @Slot()
    def _read_queue(self) -> None:
        try:
            waiting = self._queue.items()
            self._queue_problem = ""
        except ValueError as error:
            if str(error) != self._queue_problem:  # once is enough
                self._queue_problem = str(error)
                self.notices.refuse(str(error))
            waiting = []
        if waiting != self._waiting:
            self._waiting = waiting
            self.queue_changed.emit()

    @Slot()
    def _begin_next(self, *, by_itself: bool = True) -> None:
        if not self._goes_on or self.training_active:
            return
        self._read_queue()
        item = next((item for item in self._waiting if not item.problem), None)
        if item is None:
            self.hold_queue()
            return
        self._begun, self._by_itself = item, by_itself
        try:
            if item.spec is not None:
                self._training.start_waiting(self._queue, item, self.device.name)
            else:
                info = self.find_run(item.run)
                self._training.start_resume(info.folder, info.name, self.device.name)
        except (ValueError, OSError) as error:
            self._could_not_begin(describe(error).sentence)

    def _could_not_begin(self, sentence: str) -> None:
        """The item that was to begin stays, with the reason; the next one has its turn."""
        item, self._begun = self._begun, None
        assert item is not None
        try:
            with contextlib.suppress(ValueError):  # it has left the queue: then its run tells of the failure
                self._queue.set_problem(item.id, sentence)
        except OSError as error:  # a full disk, where the next one would fare no better
            self.hold_queue()
            self.notices.refuse(describe(error).sentence)
            return
        self._read_queue()
        QTimer.singleShot(0, self._begin_next)

    @Slot(object)
    def _on_queue_events(self, events: tuple[object, ...]) -> None:
        if self._begun is None or not any(isinstance(event, RunStarted) for event in events):
            return
        item, self._begun = self._begun, None
        if item.run:
            with contextlib.suppress(ValueError, OSError):  # on a full disk it stays, and is done when its turn comes
                self._queue.remove(item.id)
        self._read_queue()

    @Slot()
    def _on_turn_ended(self) -> None:
        state = self.training
        assert state is not None
        self._by_itself = False
        if self._discarded and self._discarded == state.run_id:
            self.delete_run(state.run_id)
        self._discarded = ""
        if self._begun is not None:
            self._could_not_begin(state.problem or "It was stopped before it began.")
        else:
            QTimer.singleShot(0, self._begin_next)

    # -- Forks ------------------------------------------------------------------------------------------

    def fork_run(self, run_id: str, step: int | None, *, name: str, train: TrainConfig, start: bool = True) -> bool:
        """Make a new run from a checkpoint, beside the window; whether that began.

        It is trained at once where `start` and nothing else is trained; otherwise it waits in the queue.
        """
        from models.runs.fork import fork_run
        from models.runs.run_folder import RunFolder

        if self._forks.busy:
            return self.notices.refuse("A fork is being made just now: try again in a moment.")

        def make() -> str:
            source = RunFolder.open(self.find_run(run_id).folder)
            return fork_run(self.library, source, step, name=name, train=train).id

        self._start_fork = start
        self._forks.ask(make)
        return True

    @Slot(object)
    def _on_forked(self, run_id: str) -> None:
        self.runs_changed.emit()
        if self._start_fork and not self.training_active:
            self.resume_run(run_id)
        else:
            self.queue_run(run_id)

    def start_like(self, run_id: str, changes: Mapping[str, Any]) -> bool:
        """Train a new run like this one but for `changes` ("train.lr" -> 0.001), or let it wait; whether it did."""
        from models.runs.fork import spec_like
        from models.runs.run_folder import RunFolder
        from models.settings.spec_changes import changed_spec

        try:
            source = RunFolder.open(self.find_run(run_id).folder)
            spec = changed_spec(spec_like(self.library, source), changes)
        except ValueError as error:
            return self.notices.refuse(str(error))
        if not self.training_active:
            return self.start_training(spec)
        waits = self.queue_training([spec])
        if waits:
            self.notices.say(f"“{spec.name}” is trained when the present training has ended.")
        return waits

    def export_tensorboard(self, run_id: str, folder: Path) -> bool:
        """Write a run's curves as TensorBoard's event files into a new folder there, beside the window."""
        from models.runs.run_folder import RunFolder

        if self._exports.busy:
            return self.notices.refuse("Another run is being written for TensorBoard just now: try again in a moment.")

        def write() -> Path:
            from models.runs.tensorboard import write_tensorboard

            return write_tensorboard(RunFolder.open(self.find_run(run_id).folder), folder)

        self._exports.ask(write)
        return True

    @Slot(object)
    def _on_exported(self, folder: Path) -> None:
        self.notices.say(f"The curves are in {folder}: open them with “tensorboard --logdir {folder.parent}”.")

    # -- Steering ---------------------------------------------------------------------------------------

    def set_lr_scale(self, scale: float) -> None:
        """From the next step on, multiply the schedule's learning rate by `scale`."""
        self._training.call(lambda trainer: trainer.set_lr(scale))

    def sample_now(self, prompt: str) -> None:
        """Write a sample after `prompt` at the next step."""
        self._training.call(lambda trainer: trainer.sample(prompt))

    def discard_training(self) -> None:
        """End the training without saving, and move its run to the trash, from which it can be brought back."""
        state = self.training
        if state is not None and self.training_active:
            self._discarded = state.run_id
            self.stop(keep=False)

    def close(self) -> None:
        """Begin nothing more. What was about to begin waits on: that the window closes is no problem of it."""
        self._goes_on, self._begun = False, None
        self._look.stop()
        for aside in (self._forks, self._exports):
            aside.cancel()
        self._queue.end_draining()
