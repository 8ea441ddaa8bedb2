"""Imports a model into the library, in the background."""

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
from models.runs.run_file.contents import SUFFIX

if TYPE_CHECKING:
    from models.runs.run_folder import RunFolder


class ModelImporter(QObject):
    """Imports one model at a time; errors are shown as notices.

    Signals:
        changed(): `busy` has changed.
        events_received(events): Phase, Progress (bytes) and Notice.
        imported(run_id, name): a new run is in the library.
    """

    changed = Signal()
    events_received = Signal(object)
    imported = Signal(str, str)

    def __init__(self, library: Library, runs: Runs, notices: Notices, parent: QObject) -> None:
        super().__init__(parent)
        self._library, self._runs, self._notices = library, runs, notices
        self._task = LatestTask(self)
        self._task.busy_changed.connect(self.changed)
        self._task.events_received.connect(self.events_received)
        self._task.done.connect(self._on_done)
        self._task.failed.connect(notices.fail)

    @property
    def busy(self) -> bool:
        """Whether an import is running."""
        return self._task.busy

    def start(self, source: Path) -> bool:
        """Copy what is in `source` into the library as a run: a Hugging Face folder, a .gguf or a .terrarium file.

        Returns whether it started. An import that fails or is cancelled leaves nothing behind.
        """
        if self.busy:
            return self._notices.refuse("A model is already being imported. Wait or cancel it.")

        def work() -> Generator[Event, None, RunFolder]:
            if source.suffix.lower() == SUFFIX:
                from models.runs.run_file.unpacking import unpack_run

                return (yield from unpack_run(source, self._library))
            from models.interop.importing import import_model

            return (yield from import_model(source, self._library))

        self._task.drive(work)
        return True

    def cancel(self) -> None:
        """Cancel the import; nothing of it stays."""
        self._task.cancel()

    @Slot()
    def close(self) -> None:
        """Cancel and wait until nothing of it is left."""
        self._task.cancel()
        self._task.wait()

    @Slot(object)
    def _on_done(self, run: RunFolder) -> None:
        self._runs.changed.emit()
        self.imported.emit(run.id, run.name)
