"""What the controls of most kinds of work share: one job of theirs at a time, and only its own mail."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal, Slot

from app.worker.failures import Failure
from app.worker.job import Job
from app.worker.worker import Worker
from models.events import Event


class OneJob(QObject):
    """Hands jobs to a worker; of one that was replaced by another, nothing more is heard.

    Subclasses say in `_heard` what becomes of events, and in `_over` what changes when a job has ended.

    Signals:
        changed(): what it has to tell is new, at least `busy`.
        failed(failure): the job raised.
    """

    changed = Signal()
    failed = Signal(object)

    def __init__(self, worker: Worker, parent: QObject) -> None:
        super().__init__(parent)
        self._worker = worker
        self._job: Job | None = None
        worker.job_events.connect(self._on_events)
        worker.job_finished.connect(self._on_finished)
        worker.job_failed.connect(self._on_failed)

    @property
    def busy(self) -> bool:
        """Whether one is going on, or waits for the worker."""
        return self._job is not None

    def cancel(self) -> None:
        """End it after the event that it is at."""
        if self._job is not None:
            self._job.cancel()

    def _begin(self, job: Job) -> None:
        """Hand over a job, in place of whichever is going on."""
        self.cancel()
        self._job = self._worker.submit(job)

    def _drop(self) -> None:
        """End what is going on as `cancel`, and hear nothing more of it, not even that it has ended."""
        self.cancel()
        self._job = None

    def _heard(self, job: Job, events: tuple[Event, ...]) -> None:
        """What the job has yielded since the last call, in order."""
        raise NotImplementedError

    def _over(self, job: Job, failure: Failure | None) -> None:
        """The job has ended, or failed: it is busy no more. `failed` follows."""
        self.changed.emit()

    @Slot(object, object)
    def _on_events(self, job: Job, events: tuple[Event, ...]) -> None:
        if job is self._job:
            self._heard(job, events)

    @Slot(object)
    def _on_finished(self, job: Job) -> None:
        if job is self._job:
            self._job = None
            self._over(job, None)

    @Slot(object, object)
    def _on_failed(self, job: Job | None, failure: Failure) -> None:
        if job is not None and job is self._job:
            self._job = None
            self._over(job, failure)
            self.failed.emit(failure)
