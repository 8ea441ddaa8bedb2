"""Brings a model from elsewhere into the library, beside whatever the worker does."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot

from app.worker.background import LatestTask
from models.events import Event
from models.library.library import Library

if TYPE_CHECKING:
    from models.runs.run_folder import RunFolder


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
    failed = Signal(object)
    imported = Signal(str, str)

    def __init__(self, library: Library, parent: QObject) -> None:
        super().__init__(parent)
        self._library = library
        self._task = LatestTask(self)
        self._task.busy_changed.connect(self.changed)
        self._task.events_came.connect(self.events_came)
        self._task.done.connect(self._on_done)
        self._task.failed.connect(self.failed)

    @property
    def busy(self) -> bool:
        """Whether an import is going on."""
        return self._task.busy

    def start(self, source: Path) -> None:
        """Copy the model in `source`, a Hugging Face folder or a .gguf file, into the library.

        Raises:
            ValueError: where an import is going on.
        """
        if self.busy:
            raise ValueError("A model is being imported already: wait for it or cancel it.")

        def work() -> Generator[Event, None, RunFolder]:
            from models.interop.importing import import_model

            return (yield from import_model(source, self._library))

        self._task.drive(work)

    def cancel(self) -> None:
        """Leave it off; nothing of it stays."""
        self._task.cancel()

    def close(self) -> None:
        """The same, and wait until nothing of it is there any more."""
        self._task.cancel()
        self._task.wait()

    @Slot(object)
    def _on_done(self, run: RunFolder) -> None:
        self.imported.emit(run.id, run.name)
