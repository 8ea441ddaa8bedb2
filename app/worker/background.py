"""Background tasks that do not run on the worker thread: they share one thread pool."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

from PySide6.QtCore import QCoreApplication, QObject, Signal, Slot

from terrarium.app.worker.failures import Failure, describe
from terrarium.app.worker.mailbox import Mailbox
from terrarium.models.events import Event, Progress

log = logging.getLogger(__name__)

_MAX_THREADS = 64
"""The maximum of concurrent tasks. A thread is created only when all others are busy: in practice, one."""

Work = Callable[[], Generator[Event, None, Any]]


class _Task:
    """A generator to drive on a thread of the pool, with its events and result."""

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
        """On a thread of the pool: drive it to its end, or close it when it is cancelled. Never raises."""
        try:
            self.result = self._drive(mailbox)
        except BaseException as error:  # noqa: BLE001
            self.error = error
        self.ended.set()
        mailbox.post(self, at_once=True)

    def take_events(self) -> tuple[Event, ...]:
        """The events since the last call, in order."""
        with self._lock:
            events, self._events = self._events, []
        return tuple(events)

    def release(self) -> None:
        """Drop everything it refers to, after its end and on the window's thread: views may be among it, and Qt objects
        must not be destroyed on another thread.
        """
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
    """An application's thread pool, from its first use until the application quits. Views use LatestTask.

    Its threads use a single Qt object: the mailbox, through which the window's thread learns of their progress. It
    lives as long as the application. Python waits for the threads at exit; they end soon, as quitting cancels tasks.

    Signals:
        progressed(task): a task has yielded events or ended.
        closing(): no new task is started any more.
    """

    progressed = Signal(object)
    closing = Signal()

    def __init__(self, application: QCoreApplication) -> None:
        super().__init__(application)
        self.closed = False
        self._threads = ThreadPoolExecutor(max_workers=_MAX_THREADS, thread_name_prefix="background")
        self._updated: deque[_Task] = deque()
        self._mailbox = Mailbox(self)
        self._mailbox.received.connect(self._on_mail)
        application.aboutToQuit.connect(self.close)

    @classmethod
    def of_application(cls) -> BackgroundExecutor:
        """The executor of the running application, created on first use."""
        application = QCoreApplication.instance()
        assert application is not None, "Background work needs a running application."
        open_executors = (each for each in application.findChildren(cls) if not each.closed)
        return next(open_executors, None) or cls(application)

    def submit(self, task: _Task) -> None:
        """Run `task` as soon as a thread is free."""
        self._threads.submit(task.run, self._mailbox)

    @Slot()
    def close(self) -> None:
        """Accept no more tasks, and report nothing more from running ones."""
        self.closed = True
        self._mailbox.close()
        self._threads.shutdown(wait=False)
        self.closing.emit()

    @Slot(object)
    def _on_mail(self, tasks: list[_Task]) -> None:
        self._updated.extend(tasks)  # a slot may open a dialog, whose event loop then handles the rest
        while self._updated:
            task = self._updated.popleft()
            has_ended = task.ended.is_set()
            self.progressed.emit(task)
            if has_ended:
                task.release()


class LatestTask(QObject):
    """Drives the newest generator it is given; an older one is cancelled and reports nothing more.

    Two generators never run at a time. When the application quits, or this is deleted, the running one is cancelled.

    Signals:
        events_received(events): a tuple of the events yielded, in order.
        done(result): the generator returned.
        failed(failure): it raised; a Failure.
        busy_changed(bool): work has started, or nothing is left to do.
    """

    events_received = Signal(object)
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
        self._executor.progressed.connect(self._on_progressed)
        self._executor.closing.connect(self.cancel)

    @property
    def busy(self) -> bool:
        """Whether work is running or waiting that was not cancelled."""
        return self._waiting is not None or (self._running is not None and not self._running.cancelled.is_set())

    def drive(self, work: Work) -> None:
        """Call `work` on another thread and drive the generator it returns; does nothing while quitting."""
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
        """Call `function` on another thread; `done` is emitted with its result."""

        def work() -> Generator[Event, None, object]:
            yield from ()
            return function()

        self.drive(work)

    @Slot()
    def cancel(self) -> None:
        """Close the generator at its next event and report nothing more of it."""
        if not self.busy:
            return
        self._waiting = None
        if self._running is not None:
            self._running.cancelled.set()
        self.busy_changed.emit(False)

    def wait(self) -> None:
        """Wait until nothing runs on the other thread any more, not even cancelled work."""
        if self._running is not None:
            self._running.ended.wait()

    def _start(self) -> None:
        assert self._waiting is not None
        self._running, self._waiting = self._waiting, None
        self._executor.submit(self._running)

    @Slot(object)
    def _on_progressed(self, task: _Task) -> None:
        if task is not self._running:
            return
        has_ended = task.ended.is_set()  # read first: if it ends after this, another signal follows
        events = task.take_events()
        if events and not task.cancelled.is_set():
            self.events_received.emit(events)
        if not has_ended or task is not self._running:
            return
        self._running = None
        if self._waiting is not None:
            self._start()
        elif not task.cancelled.is_set():  # a slot may have cancelled it
            self.busy_changed.emit(False)
            self._report(task)

    def _report(self, task: _Task) -> None:
        if task.error is None:
            self.done.emit(task.result)
            return
        failure = describe(task.error)
        log.warning("Background work failed: %s", failure.details or failure.sentence)
        self.failed.emit(failure)


class TaskQueue(QObject):
    """Calls functions on another thread, one after another, and leaves none out: for files that the user has asked for.

    Signals:
        done(result): a function returned.
        failed(failure): one raised; a Failure.
    """

    done = Signal(object)
    failed = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._waiting: deque[Callable[[], object]] = deque()
        self._task = LatestTask(self)
        self._task.done.connect(self._on_done)
        self._task.failed.connect(self._on_failed)

    @property
    def busy(self) -> bool:
        """Whether a function is running or waiting."""
        return self._task.busy or bool(self._waiting)

    def ask(self, function: Callable[[], object]) -> None:
        """Call `function` as soon as those before it have returned."""
        self._waiting.append(function)
        self._start()

    def _start(self) -> None:
        if self._waiting and not self._task.busy:
            self._task.ask(self._waiting.popleft())

    @Slot(object)
    def _on_done(self, result: object) -> None:
        self._start()
        self.done.emit(result)

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        self._start()
        self.failed.emit(failure)


def latest_progress(events: Iterable[Event]) -> list[Event]:
    """The events in order, with each run of consecutive Progress events reduced to its last one."""
    return [
        event
        for event, following in pairwise((*events, None))
        if event is not None and not (isinstance(event, Progress) and isinstance(following, Progress))
    ]
