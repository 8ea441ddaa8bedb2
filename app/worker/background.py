"""Work beside the window that is no job for the worker: one pool of plain threads for all of it."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

from PySide6.QtCore import QCoreApplication, QObject, Signal, Slot

from app.worker.failures import describe
from app.worker.mailbox import Mailbox
from models.events import Event, Progress

log = logging.getLogger(__name__)

_MAX_THREADS = 64
"""More than the window has LatestTasks, each of which runs one thing at a time: so nothing ever waits for a slow task
of another view. A thread is made only where all others are at work: one, after a launch and a look at every view."""

Work = Callable[[], Generator[Event, None, Any]]


class _Task:
    """A generator for a thread of the pool to drive, and what has come of it."""

    def __init__(self, work: Work, abandoned: threading.Event) -> None:
        self.cancelled = threading.Event()
        self.ended = threading.Event()
        self.result: Any = None
        self.error: BaseException | None = None
        self._work: Work | None = work
        self._abandoned = abandoned
        self._lock = threading.Lock()
        self._events: list[Event] = []

    def run(self, mailbox: Mailbox) -> None:
        """A thread of the pool: drive it to its end, or close it where nobody wants it any more; it never raises."""
        try:
            self.result = self._drive(mailbox)
        except BaseException as error:  # noqa: BLE001
            self.error = error
        self.ended.set()
        mailbox.post(self, at_once=True)

    def take_events(self) -> tuple[Event, ...]:
        """What it has yielded since the last call, in order."""
        with self._lock:
            events, self._events = self._events, []
        return tuple(events)

    def release(self) -> None:
        """Let go of what it holds, now that it has ended: on the window's thread, since views may be among it, and
        Qt's objects must not be destroyed on another one."""
        self._work = self.result = self.error = None

    def _drive(self, mailbox: Mailbox) -> Any:
        assert self._work is not None
        events = self._work()
        try:
            while not (self.cancelled.is_set() or self._abandoned.is_set()):
                event = next(events)
                with self._lock:
                    is_first = not self._events
                    self._events.append(event)
                if is_first:
                    mailbox.post(self)
        except StopIteration as end:
            return end.value
        finally:
            events.close()
        return None


class BackgroundExecutor(QObject):
    """The pool of an application, from the first use until it quits. LatestTask is what a view uses.

    Its threads know one object of Qt: the mailbox, by which the window's thread learns what they have done, and which
    lives as long as the application. Python waits for them before it ends, and they end soon, since quitting cancels.

    Signals:
        came(task): a task has yielded events, or has ended.
        closing(): nothing begins any more.
    """

    came = Signal(object)
    closing = Signal()

    def __init__(self, application: QCoreApplication) -> None:
        super().__init__(application)
        self.closed = False
        self._threads = ThreadPoolExecutor(max_workers=_MAX_THREADS, thread_name_prefix="background")
        self._news: deque[_Task] = deque()
        self._mailbox = Mailbox(self)
        self._mailbox.came.connect(self._on_mail)
        application.aboutToQuit.connect(self.close)

    @classmethod
    def of_application(cls) -> BackgroundExecutor:
        """The one of the running application, made now where there is none."""
        application = QCoreApplication.instance()
        assert application is not None, "Work beside the window needs an application, whose event loop tells of it."
        open_ones = (each for each in application.findChildren(cls) if not each.closed)
        return next(open_ones, None) or cls(application)

    def submit(self, task: _Task) -> None:
        """Run `task` as soon as a thread is free."""
        self._threads.submit(task.run, self._mailbox)

    @Slot()
    def close(self) -> None:
        """Begin nothing more, and tell nothing more of what still runs."""
        self.closed = True
        self._mailbox.close()
        self._threads.shutdown(wait=False)
        self.closing.emit()

    @Slot(object)
    def _on_mail(self, tasks: list[_Task]) -> None:
        self._news.extend(tasks)  # a slot may open a dialog, whose event loop then goes on with these
        while self._news:
            task = self._news.popleft()
            has_ended = task.ended.is_set()
            self.came.emit(task)
            if has_ended:
                task.release()


class LatestTask(QObject):
    """Drives the newest generator it is given; an older one is cancelled, and says nothing more.

    Two of its generators never run at a time. When the application quits, or this is deleted, what runs is cancelled.

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
        self._executor = BackgroundExecutor.of_application()
        self._running: _Task | None = None
        self._waiting: _Task | None = None
        self._abandoned = abandoned = threading.Event()
        self.destroyed.connect(lambda: abandoned.set())
        self._executor.came.connect(self._on_came)
        self._executor.closing.connect(self.cancel)

    @property
    def busy(self) -> bool:
        """Whether work is wanted that has not ended."""
        return self._waiting is not None or (self._running is not None and not self._running.cancelled.is_set())

    def drive(self, work: Work) -> None:
        """Call `work` on another thread and drive the generator that it returns; while quitting, do nothing."""
        if self._executor.closed:
            return
        was_busy = self.busy
        if self._running is not None:
            self._running.cancelled.set()
        self._waiting = _Task(work, self._abandoned)
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
            self._running.cancelled.set()
        self.busy_changed.emit(False)

    def wait(self) -> None:
        """Return when nothing runs on the other thread any more, not even what was cancelled."""
        if self._running is not None:
            self._running.ended.wait()

    def _start(self) -> None:
        assert self._waiting is not None
        self._running, self._waiting = self._waiting, None
        self._executor.submit(self._running)

    @Slot(object)
    def _on_came(self, task: _Task) -> None:
        if task is not self._running:
            return
        has_ended = task.ended.is_set()  # asked first: what comes after this question is told of once more
        events = task.take_events()
        if events and not task.cancelled.is_set():
            self.events_came.emit(events)
        if not has_ended or task is not self._running:
            return
        self._running = None
        if self._waiting is not None:
            self._start()
        elif not task.cancelled.is_set():  # whoever heard the events may have cancelled it
            self.busy_changed.emit(False)
            self._tell(task)

    def _tell(self, task: _Task) -> None:
        if task.error is None:
            self.done.emit(task.result)
            return
        failure = describe(task.error)
        log.warning("Work beside the window failed: %s", failure.details)
        self.failed.emit(failure)


def latest_progress(events: Iterable[Event]) -> list[Event]:
    """The events in order, without each Progress that another one follows at once: only the last of a row is seen."""
    return [
        event
        for event, following in pairwise((*events, None))
        if event is not None and not (isinstance(event, Progress) and isinstance(following, Progress))
    ]
