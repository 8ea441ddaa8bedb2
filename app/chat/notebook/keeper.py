"""Saves the notebook in the background as it changes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import QCoreApplication, QObject, QTimer, Signal, Slot

from terrarium.app.chat.notebook.file import Segment, free_path, open_notebook, write_notebook
from terrarium.app.worker.background import LatestTask
from terrarium.app.worker.failures import Failure, describe
from terrarium.models.files.atomic import file_stamp
from terrarium.models.library.library import Library

log = logging.getLogger(__name__)

_SAVE_MS = 1000


class NotebookKeeper(QObject):
    """Calls `segments` for the text a second after a change, and when the program ends, and saves it.

    Attributes:
        found: the notebook as it was saved; empty if missing.

    Signals:
        problem(sentence): it could not be saved, or it is now saved under another name.
    """

    problem = Signal(str)

    def __init__(self, library: Library, segments: Callable[[], Sequence[Segment]], parent: QObject) -> None:
        super().__init__(parent)
        self._library = library
        self._path, self.found = open_notebook(library)
        self._stamp = file_stamp(self._path)
        self._segments = segments
        self._is_new = False  # whether there are unsaved changes
        self._saving = LatestTask(self)
        self.soon = QTimer(self, singleShot=True, interval=_SAVE_MS)
        self.soon.timeout.connect(self._save)
        self._saving.done.connect(self._on_saved)
        self._saving.failed.connect(self._on_failed)
        app = QCoreApplication.instance()
        if app is not None:
            app.aboutToQuit.connect(self.flush)

    def keep(self) -> None:
        """Schedule a save after a change of the text."""
        self._is_new = True
        if not self.soon.isActive():
            self.soon.start()

    @Slot()
    def flush(self) -> None:
        """Save the text now, if it has changed."""
        if not self._is_new:
            return
        self.soon.stop()
        self._saving.cancel()
        self._saving.wait()  # otherwise an older state could overwrite this one
        try:
            self._write(self._segments())
            self._is_new = False
        except OSError as error:
            log.warning("The notebook was not saved: %s", describe(error).details)

    @Slot()
    def _save(self) -> None:
        segments = self._segments()
        self._saving.ask(lambda: self._write(segments))

    def _write(self, segments: Sequence[Segment]) -> Path:
        """Write the notebook, but never over another window's changes; return the previous path. Call it in one thread
        at a time.
        """
        before = self._path
        if file_stamp(before) != self._stamp:
            self._path = free_path(self._library)
        write_notebook(self._path, segments)
        self._stamp = file_stamp(self._path)
        return before

    @Slot(object)
    def _on_saved(self, before: Path) -> None:
        self._is_new = self.soon.isActive()
        if before != self._path:
            self.problem.emit(
                f"Another window has changed {before}: this notebook is now saved in {self._path.name} beside it."
            )

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        self.problem.emit(f"The notebook was not saved. {failure.sentence}")
