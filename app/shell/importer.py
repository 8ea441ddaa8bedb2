"""Brings a model from elsewhere into the library, beside whatever the worker does."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot

from app.session.runs import Runs
from app.worker.background import LatestTask
from app.worker.notices import Notices
from models.events import Event
from models.library.library import Library

if TYPE_CHECKING:
    from models.runs.run_folder import RunFolder


class ModelImporter(QObject):
    """Imports one model at a time; what cannot be done is said.

    Signals:
        changed(): `busy` is new.
        events_came(events): Phase, Progress (bytes) and Notice.
        imported(run_id, name): a new run is in the library.
    """

    changed = Signal()
    events_came = Signal(object)
    imported = Signal(str, str)

    def __init__(self, library: Library, runs: Runs, notices: Notices, parent: QObject) -> None:
        super().__init__(parent)
        self._library, self._runs, self._notices = library, runs, notices
        self._task = LatestTask(self)
        self._task.busy_changed.connect(self.changed)
        self._task.events_came.connect(self.events_came)
        self._task.done.connect(self._on_done)
        self._task.failed.connect(notices.fail)

    @property
    def busy(self) -> bool:
        """Whether an import is going on."""
        return self._task.busy

    def start(self, source: Path) -> bool:
        """Copy the model in `source`, a Hugging Face folder or a .gguf file, into the library as a run; whether it
        began. Of one that fails or is cancelled nothing stays."""
        if self.busy:
            return self._notices.refuse("A model is being imported already: wait for it or cancel it.")

        def work() -> Generator[Event, None, RunFolder]:
            from models.interop.importing import import_model

            return (yield from import_model(source, self._library))

        self._task.drive(work)
        return True

    def cancel(self) -> None:
        """Leave it off; nothing of it stays."""
        self._task.cancel()

    @Slot()
    def close(self) -> None:
        """The same, and wait until nothing of it is there any more."""
        self._task.cancel()
        self._task.wait()

    @Slot(object)
    def _on_done(self, run: RunFolder) -> None:
        self._runs.changed.emit()
        self.imported.emit(run.id, run.name)
