"""Keeps the notebook on disk as it changes, beside the window."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import QCoreApplication, QObject, QTimer, Signal, Slot

from app.chat.notebook.file import Piece, free_path, open_notebook, write_notebook
from app.worker.background import LatestTask
from app.worker.failures import Failure, describe
from models.files.atomic import file_stamp
from models.library.library import Library

log = logging.getLogger(__name__)

_SAVE_MS = 1000


class NotebookKeeper(QObject):
    """Asks `pieces` for the notebook a second after it has changed, and when the program ends.

    Attributes:
        found: the notebook as it was kept; empty where there was none yet.

    Signals:
        problem(sentence): it could not be saved.
    """

    problem = Signal(str)

    def __init__(self, library: Library, pieces: Callable[[], Sequence[Piece]], parent: QObject) -> None:
        super().__init__(parent)
        self._library = library
        self._path, self.found = open_notebook(library)
        self._stamp = file_stamp(self._path)
        self._pieces = pieces
        self._is_new = False  # something is not on the disk yet
        self._saving = LatestTask(self)
        self.soon = QTimer(self, singleShot=True, interval=_SAVE_MS)
        self.soon.timeout.connect(self._save)
        self._saving.done.connect(self._on_saved)
        self._saving.failed.connect(self._on_failed)
        app = QCoreApplication.instance()
        if app is not None:
            app.aboutToQuit.connect(self.flush)

    def keep(self) -> None:
        """It has changed."""
        self._is_new = True
        if not self.soon.isActive():
            self.soon.start()

    @Slot()
    def flush(self) -> None:
        """Keep it now, if it has changed."""
        if not self._is_new:
            return
        self.soon.stop()
        self._saving.cancel()
        self._saving.wait()  # or an older state could be written over this one
        try:
            self._write(self._pieces())
            self._is_new = False
        except OSError as error:
            log.warning("The notebook was not saved: %s", describe(error).details)

    @Slot()
    def _save(self) -> None:
        pieces = self._pieces()
        self._saving.ask(lambda: self._write(pieces))

    def _write(self, pieces: Sequence[Piece]) -> Path:
        """Any thread, one at a time: keep it, but leave alone what another window has written. Returns where it was."""
        before = self._path
        if file_stamp(before) != self._stamp:
            self._path = free_path(self._library)
        write_notebook(self._path, pieces)
        self._stamp = file_stamp(self._path)
        return before

    @Slot(object)
    def _on_saved(self, before: Path) -> None:
        self._is_new = self.soon.isActive()
        if before != self._path:
            self.problem.emit(
                f"Another window has written to {before}: what is here is kept in {self._path.name} beside it."
            )

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        self.problem.emit(f"The notebook was not saved. {failure.sentence}")
