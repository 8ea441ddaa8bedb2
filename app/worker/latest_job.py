"""What one does with the worker, mostly: give it one job at a time, and hear of that one only."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal, Slot

from app.worker.failures import Failure
from app.worker.job import Job
from app.worker.worker import Worker
from models.events import Event


class LatestJob(QObject):
    """Hands jobs to a worker; of one that was replaced by another, nothing more is heard.

    Signals:
        started(): the worker has begun with it.
        events_came(job, events): a tuple of what it has yielded, in order; also when it was cancelled meanwhile.
        ended(job, failure): it is over, and this is busy no more; a Failure where it raised, else None.
        failed(failure): it raised; after `ended`.
    """

    started = Signal()
    events_came = Signal(object, object)
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
        """Whether one is going on, or waits for the worker."""
        return self._job is not None

    @property
    def ending(self) -> bool:
        """Whether it was cancelled, and has not ended yet."""
        return self._job is not None and self._job.cancelled

    def submit(self, job: Job) -> None:
        """Hand over a job, in place of whichever is going on."""
        self.cancel()
        self._job = self._worker.submit(job)

    @Slot()
    def cancel(self) -> None:
        """End it after the event that it is at."""
        if self._job is not None:
            self._job.cancel()

    def drop(self) -> None:
        """End it as `cancel`, and tell nothing more of it, not even that it has ended."""
        self.cancel()
        self._job = None

    @Slot(object)
    def _on_started(self, job: Job) -> None:
        if job is self._job:
            self.started.emit()

    @Slot(object, object)
    def _on_events(self, job: Job, events: tuple[Event, ...]) -> None:
        if job is self._job:
            self.events_came.emit(job, events)

    @Slot(object)
    @Slot(object, object)
    def _on_ended(self, job: Job | None, failure: Failure | None = None) -> None:
        if job is None or job is not self._job:
            return
        self._job = None
        self.ended.emit(job, failure)
        if failure is not None:
            self.failed.emit(failure)
