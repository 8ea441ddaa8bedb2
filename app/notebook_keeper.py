"""Keeps the notebook on disk as it changes, beside the window."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from PySide6.QtCore import QCoreApplication, QObject, QTimer, Signal, Slot

from app.aside import Aside
from app.failures import Failure, describe
from app.notebook_file import Piece, notebook_path, read_notebook, write_notebook
from models.library import Library

log = logging.getLogger(__name__)

_SAVE_MS = 1000


class NotebookKeeper(QObject):
    """Asks `pieces` for the notebook a second after it has changed, and when the program ends.

    Signals:
        problem(sentence): it could not be saved.
    """

    problem = Signal(str)

    def __init__(self, library: Library, pieces: Callable[[], Sequence[Piece]], parent: QObject) -> None:
        super().__init__(parent)
        self._path, self._pieces = notebook_path(library), pieces
        self._saving = Aside(self)
        self._soon = QTimer(self, singleShot=True, interval=_SAVE_MS)
        self._soon.timeout.connect(self._save)
        self._saving.failed.connect(self._on_failed)
        app = QCoreApplication.instance()
        if app is not None:
            app.aboutToQuit.connect(self.flush)

    def load(self) -> list[Piece]:
        """The notebook as it was kept; empty where there is none yet."""
        return read_notebook(self._path)

    def keep(self) -> None:
        """It has changed."""
        if not self._soon.isActive():
            self._soon.start()

    @Slot()
    def flush(self) -> None:
        """Keep it now, if it has changed."""
        if self._soon.isActive():
            self._soon.stop()
            try:
                write_notebook(self._path, self._pieces())
            except OSError as error:
                log.warning("The notebook was not saved: %s", describe(error).details)

    @Slot()
    def _save(self) -> None:
        pieces, path = self._pieces(), self._path
        self._saving.ask(lambda: write_notebook(path, pieces))

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        self.problem.emit(f"The notebook was not saved. {failure.sentence}")
