"""The worker thread, which does the heavy work: it drives generators of events, one step at a time.

A *background* job (training) is asked for one event after the other. *Interactive* jobs (a reply, an attention map) run
to their end between two of its events, with at least one training step between two interactive jobs. Events reach the
window in tuples, at most 30 times a second. Nothing here depends on what the jobs compute.

The thread has normal priority. A lower one did not make the window any smoother: 99 % of the ticks of a 10 ms timer
came within 17 ms at niceness 0 as at 10. Beside two busy programs on two cores, a training ran at 6 % of its speed at
niceness 10, at 25 % at 4, and at 50 %, which is its fair share, at 0.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import NamedTuple

from PySide6.QtCore import QObject, QThread, Signal, Slot

from terrarium.app.worker.failures import describe
from terrarium.app.worker.job import INTERACTIVE, Job
from terrarium.app.worker.mailbox import Mailbox
from terrarium.models.events import Event

log = logging.getLogger(__name__)


class Mail(NamedTuple):
    """A notification about a job (None: about no job), named after the worker's signal for it."""

    signal: str
    job: Job | None
    payload: tuple[object, ...] = ()


class Worker(QThread):
    """Drives jobs on its own thread. Its signals are emitted on the thread that created it.

    Signals:
        job_started(job): its generator is about to be made.
        job_events(job, events): a tuple of the events yielded, in order.
        job_paused(job): a background job has actually paused; once for each pause. job_resumed(job): it has resumed.
        job_finished(job): it has ended: completed or cancelled (`job.cancelled`).
        job_failed(job, failure): it raised. `job` is None for a function given to `call`.
    """

    job_started = Signal(object)
    job_events = Signal(object, object)
    job_paused = Signal(object)
    job_resumed = Signal(object)
    job_finished = Signal(object)
    job_failed = Signal(object, object)

    def __init__(self, parent: QObject | None = None, *, name: str = "worker") -> None:
        super().__init__(parent)
        import_plainly()  # torch, for one, which is imported by what runs here
        self.setObjectName(name)
        # macOS gives a QThread 512 kB, too little for some numerical libraries.
        self.setStackSize(16 * 1024 * 1024)
        self._changed = threading.Condition()
        self._queue: list[tuple[int, int, Job]] = []
        self._numbers = itertools.count()
        self._calls: deque[Callable[[], object]] = deque()
        self._closing = False
        self._mailbox = Mailbox(self)
        self._mailbox.received.connect(self._on_mail)

    # -- Called from the window's thread ---------------------------------------------------------------

    def submit(self, job: Job) -> Job:
        """Queue a job: interactive jobs before background jobs, otherwise in order."""
        job.on_switch(self._notify)
        with self._changed:
            rank = 0 if job.priority == INTERACTIVE else 1
            heapq.heappush(self._queue, (rank, next(self._numbers), job))
            self._changed.notify()
        return job

    def call(self, function: Callable[[], object]) -> None:
        """Run `function` on the worker's thread between two events, to steer a job."""
        with self._changed:
            self._calls.append(function)
            self._changed.notify()

    def close(self) -> None:
        """Cancel all jobs, wait until the current event is done and its generator is closed, and end the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self.wait()
        self._mailbox.deliver()

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify()

    @Slot(object)
    def _on_mail(self, mail: list[Mail]) -> None:
        """Emit the notifications: the events of a job as one tuple, between its start and its end."""
        for (name, job), group in itertools.groupby(mail, key=lambda item: (item.signal, item.job)):
            payloads = [item.payload for item in group]
            if name == "job_events":
                self.job_events.emit(job, tuple(event for (event,) in payloads))
            else:
                for payload in payloads:
                    getattr(self, name).emit(job, *payload)

    # -- On the worker's thread -------------------------------------------------------------------------

    def run(self) -> None:
        background: _RunningJob | None = None
        served = False  # an interactive job was served since the background job's last step
        while True:
            with self._changed:
                while not self._something_to_do(background, served):
                    if background is not None and background.job.is_waiting:
                        self._show_paused(background)
                    self._changed.wait()
                closing, calls, self._calls = self._closing, self._calls, deque()
                job = None if closing else self._take(background, served)
                dropped = self._take_cancelled()
            for lost in dropped:
                self._post("job_finished", lost)
            for function in calls:
                self._run_call(function)
            if closing:
                break
            if job is not None and job.priority == INTERACTIVE:
                self._drive_to_end(job)
                served = True
            elif job is not None:
                background = self._start(job)
                served = False
            elif background is not None and (background.job.cancelled or not background.job.is_waiting):
                if background.n_shown_pauses:
                    background.n_shown_pauses = 0
                    self._post("job_resumed", background.job)
                stepped = self._advance(background)
                served = served and not stepped
                if background.ended:
                    background, served = None, False
        self._shut_down(background)

    def _show_paused(self, background: _RunningJob) -> None:
        """Report that the job has paused, once for each pause: a job may be resumed and paused again in an instant."""
        n_pauses = background.job.n_pauses
        if background.n_shown_pauses != n_pauses:
            background.n_shown_pauses = n_pauses
            self._post("job_paused", background.job)

    def _something_to_do(self, background: _RunningJob | None, served: bool) -> bool:
        if self._closing or self._calls or any(entry[2].cancelled for entry in self._queue):
            return True
        if background is not None and (background.job.cancelled or not background.job.is_waiting):
            return True
        return self._peek(background, served) is not None

    def _peek(self, background: _RunningJob | None, served: bool) -> Job | None:
        """The queued job that may run next, if any."""
        if not self._queue:
            return None
        job = self._queue[0][2]
        if job.priority == INTERACTIVE:
            must_step_first = served and background is not None and not background.job.is_waiting
            return None if must_step_first else job
        return job if background is None else None

    def _take(self, background: _RunningJob | None, served: bool) -> Job | None:
        job = self._peek(background, served)
        if job is not None:
            heapq.heappop(self._queue)
        return job

    def _take_cancelled(self) -> list[Job]:
        lost = [entry for entry in self._queue if entry[2].cancelled]
        for entry in lost:
            self._queue.remove(entry)
        heapq.heapify(self._queue)
        return [job for _, _, job in sorted(lost, key=lambda entry: entry[:2])]

    def _start(self, job: Job) -> _RunningJob | None:
        """Create the job's generator; None if the job was already cancelled or creating it failed."""
        self._post("job_started", job)
        if job.cancelled:
            self._post("job_finished", job)
            return None
        try:
            return _RunningJob(job, iter(job.make_events()))
        except Exception as error:  # noqa: BLE001
            self._fail(job, error)
            return None

    def _drive_to_end(self, job: Job) -> None:
        running = self._start(job)
        while running is not None and not running.ended:
            self._advance(running)
            with self._changed:
                calls, self._calls = self._calls, deque()
                if self._closing:
                    job.cancel()
            for function in calls:
                self._run_call(function)

    def _advance(self, running: _RunningJob) -> bool:
        """Request one event and post it; returns whether it ended a step. Sets `running.ended` at the end."""
        job = running.job
        try:
            if job.cancelled:
                running.close()
            else:
                event = next(running.events, None)
                if event is not None:
                    self._post("job_events", job, event)
                    return job.count_event(event)
        except Exception as error:  # noqa: BLE001
            running.ended = True
            self._fail(job, error)
            return True
        running.ended = True
        self._post("job_finished", job)
        return True

    def _run_call(self, function: Callable[[], object]) -> None:
        try:
            function()
        except Exception as error:  # noqa: BLE001
            self._fail(None, error)

    def _shut_down(self, background: _RunningJob | None) -> None:
        if background is not None:
            background.job.cancel()
            self._advance(background)
        with self._changed:
            waiting, self._queue = [entry[2] for entry in sorted(self._queue, key=lambda entry: entry[:2])], []
        for job in waiting:
            job.cancel()
            self._post("job_finished", job)

    def _fail(self, job: Job | None, error: Exception) -> None:
        failure = describe(error)
        log.error("%r failed: %s\n%s", job, failure.sentence, failure.details)
        self._post("job_failed", job, failure)

    def _post(self, signal: str, job: Job | None, *payload: object) -> None:
        self._mailbox.post(Mail(signal, job, payload))


class _RunningJob:
    """A job whose generator has been made."""

    def __init__(self, job: Job, events: Iterator[Event]) -> None:
        self.job = job
        self.events = events
        self.ended = False
        self.n_shown_pauses = 0

    def close(self) -> None:
        close = getattr(self.events, "close", None)
        if close is not None:
            close()


def import_plainly() -> None:
    """From now on, PySide does not look through the source of each module that is imported, whether it uses PySide.

    It does so for `from __feature__ import …`, which nothing here uses, and keeps all that it has read. With torch,
    that is half a second and 40 MB.
    """
    import_module("PySide6.QtCore")  # which brings it along
    with contextlib.suppress(ImportError):  # a PySide that does so no more
        vars(import_module("shibokensupport.feature"))["feature_imported"] = lambda module: None
