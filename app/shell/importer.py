"""Brings a model from elsewhere into the library, beside whatever the worker does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from app.session.runs import Runs
from app.worker.job import Job
from app.worker.notices import Notices
from app.worker.one_job import OneJob
from app.worker.worker import Worker
from models.events import Event
from models.library.library import Library


@dataclass(frozen=True, kw_only=True)
class Imported(Event):
    """The last event: the new run of the library."""

    run_id: str
    name: str


class ModelImporter(OneJob):
    """Imports one model at a time; what cannot be done is said.

    Signals:
        changed(): `busy` is new.
        events_came(events): Phase, Progress (bytes) and Notice.
        imported(run_id, name): a new run is in the library.
    """

    events_came = Signal(object)
    imported = Signal(str, str)

    def __init__(self, worker: Worker, library: Library, runs: Runs, notices: Notices, parent: QObject) -> None:
        super().__init__(worker, parent)
        self._library, self._runs, self._notices = library, runs, notices
        self.failed.connect(notices.fail)

    def start(self, source: Path) -> bool:
        """Copy the model in `source`, a Hugging Face folder or a .gguf file, into the library as a run; whether it
        began. Of one that fails or is cancelled nothing stays."""
        if self.busy:
            return self._notices.refuse("A model is being imported already: wait for it or cancel it.")
        library = self._library

        def make() -> Iterator[Event]:
            from models.interop.importing import import_model

            run = yield from import_model(source, library)
            yield Imported(run_id=run.id, name=run.name)

        self._begin(Job(f"Import {source.name}", make))
        self.changed.emit()
        return True

    def _heard(self, job: Job, events: tuple[Event, ...]) -> None:
        self.events_came.emit(tuple(event for event in events if not isinstance(event, Imported)))
        for event in events:
            if isinstance(event, Imported):
                self._runs.changed.emit()
                self.imported.emit(event.run_id, event.name)
