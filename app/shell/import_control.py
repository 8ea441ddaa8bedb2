"""Brings a model from elsewhere into the library, beside whatever the worker does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from app.worker.job import Job
from app.worker.one_job import OneJob
from app.worker.worker import Worker
from models.events import Event
from models.library.library import Library


@dataclass(frozen=True, kw_only=True)
class Imported(Event):
    """The last event: the new run of the library."""

    run_id: str
    name: str


class ImportControl(OneJob):
    """Imports one model at a time.

    Signals:
        changed(): `busy` is new.
        events_came(events): Phase, Progress (bytes) and Notice.
        imported(run_id, name): a new run is in the library.
        failed(failure): the import raised; nothing of it stays.
    """

    events_came = Signal(object)
    imported = Signal(str, str)

    def __init__(self, worker: Worker, library: Library, parent: QObject) -> None:
        super().__init__(worker, parent)
        self._library = library

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

        self._begin(Job(f"Import {source.name}", make))
        self.changed.emit()

    def _heard(self, job: Job, events: tuple[Event, ...]) -> None:
        self.events_came.emit(tuple(event for event in events if not isinstance(event, Imported)))
        for event in events:
            if isinstance(event, Imported):
                self.imported.emit(event.run_id, event.name)
