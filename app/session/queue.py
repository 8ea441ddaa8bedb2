"""The queue of runs to train."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from terrarium.app.session.runs import Runs
from terrarium.app.session.training import Training
from terrarium.app.worker.failures import describe
from terrarium.app.worker.notices import Notices
from terrarium.models.events import RunStarted
from terrarium.models.library.library import Library
from terrarium.models.runs.run_queue import QueueBusyError, QueuedRun, RecipeSpec, RunQueue

if TYPE_CHECKING:
    from terrarium.models.settings.run_spec import RunSpec

_POLL_MS = 2000
"""Polling interval for the queue on disk, since commands may change it too."""
_LOCK_TIMEOUT_S = 0.5
"""How long the window waits for the queue's lock, in seconds."""


class TrainingQueue(QObject):
    """Trains the queued runs one after the other while it is draining; problems are reported as notices.

    waiting: the queued runs, the next one first. is_draining: whether the next run starts as soon as no run is
    training. is_held: whether the user has put the queue on hold, until `start`. started_automatically: whether the
    current run was started by the queue, not by the user.

    Signals:
        changed(): `waiting` or `is_draining` has changed.
    """

    changed = Signal()

    def __init__(self, library: Library, runs: Runs, training: Training, notices: Notices, parent: QObject) -> None:
        super().__init__(parent)
        self._queue = RunQueue(library, _LOCK_TIMEOUT_S)
        self._runs, self._training, self._notices = runs, training, notices
        self.waiting: Sequence[QueuedRun] = []
        self.is_draining = self.is_held = self.started_automatically = False
        self._starting: QueuedRun | None = None  # submitted to the worker, but not training yet
        self._started: set[str] = set()  # to be removed from the queue on disk
        self._problem = ""
        self._poll = QTimer(self, interval=_POLL_MS)
        self._poll.timeout.connect(self.read)
        self._poll.start()
        training.events_received.connect(self._on_events)
        self.read()

    def add(self, specs: Sequence[RunSpec], tags: Sequence[str] = ()) -> bool:
        """Queue new runs; return whether it succeeded.

        If a run is training, they start after it, unless the queue is on hold.
        """
        return self._change(lambda: self._queue.add_new(specs, tags)) and self._follow_training()

    def add_run(self, run_id: str) -> bool:
        """Queue a run to resume from its last checkpoint; return whether it succeeded."""

        def add() -> None:
            self._queue.add_run(run_id, self._runs.find(run_id).name)

        return self._change(add) and self._follow_training()

    def add_recipe(self, recipe: RecipeSpec, name: str) -> bool:
        """Queue a recipe; return whether it succeeded. A notice reports what it waits for."""
        waits = self.what_waits()
        if not self._change(lambda: self._queue.add_recipe(recipe, name)) or not self._follow_training():
            return False
        self._notices.say(f"“{name}” {waits}.")
        return True

    def what_waits(self) -> str:
        """Describe what a newly queued item waits for: the runs before it, or a queue on hold."""
        if self.is_held:
            return "is in the queue, which is held: press Start in the queue"
        state = self._training.state
        before = [state.name] if state is not None and self._training.active else []
        before += [item.name for item in self.waiting if not item.problem] if before else []
        return "is in the queue" + (f" and starts after “{before[-1]}”" if before else "")

    def move(self, item_id: str, to: int) -> bool:
        """Move a queued run to another index, counted from 0 in the list without it."""
        return self._change(lambda: self._queue.move(item_id, to))

    def retry(self, item_id: str) -> bool:
        """Clear the problem of a run that could not start, so that it is tried again."""
        return self._change(lambda: self._queue.set_problem(item_id, ""))

    def remove(self, item_id: str) -> QueuedRun | None:
        """Remove a queued run and return it for `put_back`; None if it was no longer queued."""
        removed: list[QueuedRun] = []
        self._change(lambda: removed.append(self._queue.remove(item_id)))
        return removed[0] if removed else None

    def put_back(self, item: QueuedRun, at: int) -> bool:
        """Undo `remove`."""
        return self._change(lambda: self._queue.put_back(item, at))

    def start(self) -> bool:
        """Start training the queued runs one after the other; return whether this window may drain the queue."""
        if not self._notices.attempt(self._queue.begin_draining):
            return False
        self.is_draining, self.is_held = True, False
        self.changed.emit()
        self._begin_next(by_itself=False)
        return True

    def hold(self) -> None:
        """Put the queue on hold until `start`; the current run continues."""
        self.is_held = True
        self._end_draining()

    def _end_draining(self) -> None:
        self.is_draining = False
        self._queue.end_draining()
        self.changed.emit()

    def _follow_training(self) -> bool:
        return self.start() if self._training.active and not self.is_draining and not self.is_held else True

    def _change(self, change: Callable[[], object]) -> bool:
        done = self._notices.attempt(change)
        self.read()
        return done

    @Slot()
    def read(self) -> None:
        """Read the queue on disk, which commands may have changed."""
        self._remove_started()
        try:
            waiting = [item for item in self._queue.items() if item.id not in self._started]
            self._problem = ""
        except (ValueError, OSError) as error:
            sentence = describe(error).sentence
            if sentence != self._problem:  # report it once, not at each poll
                self._problem = sentence
                self._notices.refuse(sentence)
            waiting = []
        if waiting != self.waiting:
            self.waiting = waiting
            self.changed.emit()

    @Slot()
    def _begin_next(self, *, by_itself: bool = True) -> None:
        if not self.is_draining or self._training.active:
            return
        self.read()
        item = next((item for item in self.waiting if not item.problem), None)
        if item is None:
            self._end_draining()
            return
        self._starting, self.started_automatically = item, by_itself
        try:
            if item.recipe is not None:
                self._training.begin_recipe(item.recipe)
            elif item.spec is not None:
                self._training.begin_queued(item)
            else:
                self._training.begin_resumed(item.run)
        except (ValueError, OSError) as error:
            self._could_not_begin(describe(error).sentence)

    def _could_not_begin(self, sentence: str) -> None:
        """Record why the starting run could not start, leave it in the queue, and try the next one."""
        item, self._starting = self._starting, None
        assert item is not None
        self.started_automatically = False
        try:
            self._queue.set_problem(item.id, sentence)
        except (OSError, QueueBusyError) as error:  # for example a full disk: the next one would fail as well
            self._end_draining()
            self._notices.refuse(describe(error).sentence)
            return
        except ValueError:
            pass  # it is no longer in the queue: its run shows the failure
        self.read()
        QTimer.singleShot(0, self._begin_next)

    @Slot(object)
    def _on_events(self, events: tuple[object, ...]) -> None:
        if self._starting is not None and any(isinstance(event, RunStarted) for event in events):
            self._leave_queue()

    def _leave_queue(self) -> None:
        """Mark the starting item as started. A new run is removed from the queue by `prepare_queued`."""
        item, self._starting = self._starting, None
        if item is not None and item.spec is None:
            self._started.add(item.id)
        self.read()

    def _remove_started(self) -> None:
        """Remove started items from the queue on disk; if it is locked or the disk is full, retry at the next poll."""
        for item_id in tuple(self._started):
            try:
                self._queue.remove(item_id)
            except (QueueBusyError, OSError):
                continue
            except ValueError:
                pass  # it is gone
            self._started.discard(item_id)

    @Slot()
    def on_training_ended(self) -> None:
        """Start the next run when a run ends, unless the user stopped it."""
        state = self._training.state
        assert state is not None
        self.started_automatically = False
        if state.wants_stop:
            self._starting = None  # if it is still queued, it stays queued, without a problem
            self._hold_after_stop()
        elif self._starting is not None and self._starting.spec is None and not state.problem:
            self._leave_queue()  # nothing was left to train
            QTimer.singleShot(0, self._begin_next)
        elif self._starting is not None:
            self._could_not_begin(state.problem or "It was stopped before it started.")
        else:
            QTimer.singleShot(0, self._begin_next)

    def _hold_after_stop(self) -> None:
        if not self.is_draining:
            return
        self._end_draining()
        self.read()
        if self.waiting:
            self.hold()
            self._notices.say("The queue is on hold, because you stopped a run. Press Start in the queue to continue.")

    def close(self) -> None:
        """Start no more runs. A run that was about to start stays queued, without a problem."""
        self.is_draining, self._starting = False, None
        self._poll.stop()
        self._queue.end_draining()
