"""Runs that wait for their turn."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from app.session.runs import Runs
from app.session.training import Training
from app.worker.failures import describe
from app.worker.notices import Notices
from models.events import RunStarted
from models.library.library import Library
from models.runs.run_queue import RunQueue, Waiting

if TYPE_CHECKING:
    from models.settings.run_spec import RunSpec

_LOOK_MS = 2000
"""How often the queue on disk is looked at, which commands may change, too."""


class TrainingQueue(QObject):
    """Keeps what waits, and trains one after the other where it goes on; what cannot be done is said.

    waiting: what waits, the next one first. goes_on: whether the next one begins as soon as nothing is trained.
    began_by_itself: whether the present training followed another one out of the queue, without anybody's click.

    Signals:
        changed(): `waiting` or `goes_on` are new.
    """

    changed = Signal()

    def __init__(self, library: Library, runs: Runs, training: Training, notices: Notices, parent: QObject) -> None:
        super().__init__(parent)
        self._queue = RunQueue(library)
        self._runs, self._training, self._notices = runs, training, notices
        self.waiting: Sequence[Waiting] = []
        self.goes_on = self.began_by_itself = False
        self._begun: Waiting | None = None  # what left for the worker, and has not begun to train yet
        self._problem = ""
        self._look = QTimer(self, interval=_LOOK_MS)
        self._look.timeout.connect(self.read)
        self._look.start()
        training.events_came.connect(self._on_events)
        self.read()

    def add(self, specs: Sequence[RunSpec], tags: Sequence[str] = ()) -> bool:
        """Let new runs wait; whether that worked. Where something is trained now, they follow it by themselves."""
        return self._change(lambda: self._queue.add_new(specs, tags)) and self._follow_training()

    def add_run(self, run_id: str) -> bool:
        """Let a run wait to go on from its last checkpoint; whether that worked."""

        def add() -> None:
            self._queue.add_run(run_id, self._runs.find(run_id).name)

        return self._change(add) and self._follow_training()

    def move(self, item_id: str, to: int) -> bool:
        """Put one that waits at another place, counted from 0 in the list without it."""
        return self._change(lambda: self._queue.move(item_id, to))

    def retry(self, item_id: str) -> bool:
        """Let one that could not begin be tried again."""
        return self._change(lambda: self._queue.set_problem(item_id, ""))

    def remove(self, item_id: str) -> Waiting | None:
        """Take one out, and return it for `put_back`; None where it is gone."""
        removed: list[Waiting] = []
        self._change(lambda: removed.append(self._queue.remove(item_id)))
        return removed[0] if removed else None

    def put_back(self, item: Waiting, at: int) -> bool:
        """Undo `remove`."""
        return self._change(lambda: self._queue.put_back(item, at))

    def start(self) -> bool:
        """Train what waits, one after the other, from now on; whether this window may."""
        if not self._notices.attempt(self._queue.begin_draining):
            return False
        self.goes_on = True
        self.changed.emit()
        self._begin_next(by_itself=False)
        return True

    def hold(self) -> None:
        """Begin nothing more by itself; what is trained now goes on."""
        self.goes_on = False
        self._queue.end_draining()
        self.changed.emit()

    def _follow_training(self) -> bool:
        return self.start() if self._training.active and not self.goes_on else True

    def _change(self, change: Callable[[], object]) -> bool:
        done = self._notices.attempt(change)
        self.read()
        return done

    @Slot()
    def read(self) -> None:
        """See what waits on the disk, which commands may have changed."""
        try:
            waiting = self._queue.items()
            self._problem = ""
        except ValueError as error:
            if str(error) != self._problem:  # once is enough
                self._problem = str(error)
                self._notices.refuse(str(error))
            waiting = []
        if waiting != self.waiting:
            self.waiting = waiting
            self.changed.emit()

    @Slot()
    def _begin_next(self, *, by_itself: bool = True) -> None:
        if not self.goes_on or self._training.active:
            return
        self.read()
        item = next((item for item in self.waiting if not item.problem), None)
        if item is None:
            self.hold()
            return
        self._begun, self.began_by_itself = item, by_itself
        try:
            if item.spec is not None:
                self._training.begin_waiting(self._queue, item)
            else:
                self._training.begin_resumed(item.run)
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
            self.hold()
            self._notices.refuse(describe(error).sentence)
            return
        self.read()
        QTimer.singleShot(0, self._begin_next)

    @Slot(object)
    def _on_events(self, events: tuple[object, ...]) -> None:
        if self._begun is None or not any(isinstance(event, RunStarted) for event in events):
            return
        item, self._begun = self._begun, None
        if item.run:
            with contextlib.suppress(ValueError, OSError):  # on a full disk it stays, and is done when its turn comes
                self._queue.remove(item.id)
        self.read()

    @Slot()
    def follow_end(self) -> None:
        """The training is over: the next one has its turn."""
        state = self._training.state
        assert state is not None
        self.began_by_itself = False
        if self._begun is not None:
            self._could_not_begin(state.problem or "It was stopped before it began.")
        else:
            QTimer.singleShot(0, self._begin_next)

    def close(self) -> None:
        """Begin nothing more. What was about to begin waits on: that the window closes is no problem of it."""
        self.goes_on, self._begun = False, None
        self._look.stop()
        self._queue.end_draining()
