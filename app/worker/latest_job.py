"""Submits one job at a time to the worker, as most of its users need."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal, Slot

from terrarium.app.worker.failures import Failure
from terrarium.app.worker.job import Job
from terrarium.app.worker.worker import Worker
from terrarium.models.events import Event


class LatestJob(QObject):
    """Submits jobs to a worker, one at a time; once a job is replaced, nothing more is reported of it.

    Signals:
        started(): the worker has started the job.
        events_received(job, events): a tuple of the events yielded, in order; also after it was cancelled.
        ended(job, failure): it has ended and this is no longer busy; a Failure where it raised, else None.
        failed(failure): it raised; emitted after `ended`.
    """

    started = Signal()
    events_received = Signal(object, object)
    ended = Signal(object, object)
    failed = Signal(object)

    def __init__(self, worker: Worker, parent: QObject) -> None:
        super().__init__(parent)
        self._worker = worker
        self._job: Job | None = None
        worker.job_started.connect(self._on_started)
        worker.job_events.connect(self._on_events)
        worker.job_finished.connect(self._on_ended)
        worker.job_failed.connect(self._on_ended)

    @property
    def busy(self) -> bool:
        """Whether a job is running or waiting."""
        return self._job is not None

    @property
    def ending(self) -> bool:
        """Whether the job was cancelled and has not ended yet."""
        return self._job is not None and self._job.cancelled

    def submit(self, job: Job) -> None:
        """Submit a job, replacing the current one."""
        self.cancel()
        self._job = self._worker.submit(job)

    @Slot()
    def cancel(self) -> None:
        """Cancel the current job; it ends after its current event."""
        if self._job is not None:
            self._job.cancel()

    def drop(self) -> None:
        """Cancel the job, and report nothing more of it, not even its end."""
        self.cancel()
        self._job = None

    @Slot(object)
    def _on_started(self, job: Job) -> None:
        if job is self._job:
            self.started.emit()

    @Slot(object, object)
    def _on_events(self, job: Job, events: tuple[Event, ...]) -> None:
        if job is self._job:
            self.events_received.emit(job, events)

    @Slot(object)
    @Slot(object, object)
    def _on_ended(self, job: Job | None, failure: Failure | None = None) -> None:
        if job is None or job is not self._job:
            return
        self._job = None
        self.ended.emit(job, failure)
        if failure is not None:
            self.failed.emit(failure)
