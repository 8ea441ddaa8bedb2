"""Work beside the window that is no job for the worker: a plain thread that knows nothing of Qt and may outlive it."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

from PySide6.QtCore import QCoreApplication, QObject, QTimer, Signal, Slot

from app.worker.failures import describe
from models.events import Event

log = logging.getLogger(__name__)

_POLL_MS = 15

Work = Callable[[], Generator[Event, None, Any]]


@dataclass(eq=False)
class _Task:
    work: Work
    events: deque[Event] = field(default_factory=deque)
    cancelled: threading.Event = field(default_factory=threading.Event)

    def run(self) -> Any:
        """Drive the generator to its end and return what it returns; close it where it was cancelled."""
        events = self.work()
        try:
            while not self.cancelled.is_set():
                self.events.append(next(events))
        except StopIteration as end:
            return end.value
        finally:
            events.close()
        return None


class Aside(QObject):
    """Drives the newest generator it is given; an older one is cancelled, and says nothing more.

    Its results are fetched by the window's thread: no signal ever leaves the other one.

    Signals:
        events_came(events): a tuple of what it yielded, in order.
        done(result): it has returned this.
        failed(failure): it raised; a Failure.
        busy_changed(bool): work has begun, or nothing is left to do.
    """

    events_came = Signal(object)
    done = Signal(object)
    failed = Signal(object)
    busy_changed = Signal(bool)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="aside")
        self._running: tuple[_Task, Future[Any]] | None = None
        self._waiting: _Task | None = None
        self._poll = QTimer(self, interval=_POLL_MS)
        self._poll.timeout.connect(self._on_poll)
        app = QCoreApplication.instance()
        if app is not None:
            app.aboutToQuit.connect(self.cancel)  # or the process would stay until all of it is done

    @property
    def busy(self) -> bool:
        """Whether work is wanted that has not ended."""
        return self._waiting is not None or (self._running is not None and not self._running[0].cancelled.is_set())

    def drive(self, work: Work) -> None:
        """Call `work` on the other thread and drive the generator that it returns."""
        was_busy = self.busy
        if self._running is not None:
            self._running[0].cancelled.set()
        self._waiting = _Task(work)
        if self._running is None:
            self._start()
        if not was_busy:
            self.busy_changed.emit(True)

    def ask(self, function: Callable[[], object]) -> None:
        """Call `function` there; its result comes by `done`."""

        def work() -> Generator[Event, None, object]:
            yield from ()
            return function()

        self.drive(work)

    @Slot()
    def cancel(self) -> None:
        """Let it go: close the generator at its next event, and tell nothing more of it."""
        if not self.busy:
            return
        self._waiting = None
        if self._running is not None:
            self._running[0].cancelled.set()
        self.busy_changed.emit(False)

    def wait(self) -> None:
        """Return when nothing runs on the other thread any more, not even what was cancelled."""
        if self._running is not None:
            wait([self._running[1]])

    def _start(self) -> None:
        assert self._waiting is not None
        task, self._waiting = self._waiting, None
        self._running = task, self._thread.submit(task.run)
        self._poll.start()

    @Slot()
    def _on_poll(self) -> None:
        if self._running is None:
            return
        task, future = self._running
        ended = future.done()
        events = tuple(task.events.popleft() for _ in range(len(task.events)))
        wanted = not task.cancelled.is_set()
        if events and wanted:
            self.events_came.emit(events)
        if not ended or self._running is None or self._running[0] is not task:
            return
        wanted = not task.cancelled.is_set()  # whoever heard the events may have cancelled it
        self._running = None
        if self._waiting is not None:
            self._start()
            return
        self._poll.stop()
        if wanted:
            self.busy_changed.emit(False)
            self._tell(future)

    def _tell(self, future: Future[Any]) -> None:
        error = future.exception()
        if error is None:
            self.done.emit(future.result())
            return
        failure = describe(error)
        log.warning("Work beside the window failed: %s", failure.details)
        self.failed.emit(failure)
