"""Brings a model from elsewhere into the library, beside whatever the worker does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot

from app.failures import Failure
from app.job import Job
from app.worker import Worker
from models.events import Event
from models.library import Library


@dataclass(frozen=True, kw_only=True)
class Imported(Event):
    """The last event: the new run of the library."""

    run_id: str
    name: str


class ImportControl(QObject):
    """Imports one model at a time.

    Signals:
        changed(): `busy` is new.
        events_came(events): Phase, Progress (bytes) and Notice.
        imported(run_id, name): a new run is in the library.
        failed(failure): the import raised; nothing of it stays.
    """

    changed = Signal()
    events_came = Signal(object)
    imported = Signal(str, str)
    failed = Signal(object)

    def __init__(self, worker: Worker, library: Library, parent: QObject) -> None:
        super().__init__(parent)
        self._worker, self._library = worker, library
        self._job: Job | None = None
        worker.job_events.connect(self._on_events)
        worker.job_finished.connect(self._on_finished)
        worker.job_failed.connect(self._on_failed)

    @property
    def busy(self) -> bool:
        """Whether a model is being imported."""
        return self._job is not None

    def start(self, source: Path) -> None:
        """Copy the model in `source`, a Hugging Face folder or a .gguf file, into the library.

        Raises:
            ValueError: where an import is going on.
        """
        if self.busy:
            raise ValueError("A model is being imported already: wait for it or cancel it.")
        library = self._library

        def make() -> Iterator[Event]:
            from models.interop.importing import import_model

            run = yield from import_model(source, library)
            yield Imported(run_id=run.id, name=run.name)

        self._job = self._worker.submit(Job(f"Import {source.name}", make))
        self.changed.emit()

    def cancel(self) -> None:
        """Leave it off; nothing of it stays."""
        if self._job is not None:
            self._job.cancel()

    @Slot(object, object)
    def _on_events(self, job: Job, events: tuple[Event, ...]) -> None:
        if job is not self._job:
            return
        self.events_came.emit(tuple(event for event in events if not isinstance(event, Imported)))
        for event in events:
            if isinstance(event, Imported):
                self.imported.emit(event.run_id, event.name)

    @Slot(object)
    def _on_finished(self, job: Job) -> None:
        if job is self._job:
            self._job = None
            self.changed.emit()

    @Slot(object, object)
    def _on_failed(self, job: Job | None, failure: Failure) -> None:
        if job is not None and job is self._job:
            self._job = None
            self.changed.emit()
            self.failed.emit(failure)
