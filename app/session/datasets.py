"""The datasets of the library, and the current one."""

from __future__ import annotations

import builtins
from collections.abc import Sequence

from PySide6.QtCore import QObject, Signal, Slot

from terrarium.app.session.remembered import Remembered
from terrarium.app.session.shelf import Shelf
from terrarium.app.session.trash import Trash
from terrarium.app.worker.background import LatestTask
from terrarium.app.worker.notices import Notices
from terrarium.models.corpora.datasets import DatasetInfo
from terrarium.models.library.library import Library
from terrarium.models.settings.tasks import TASKS

_LAST = "dataset"


class Datasets(QObject):
    """Lists and deletes datasets; problems are reported as notices. The list is read in the background.

    sha: the current dataset, '' for none; restored from the last launch once the list has been read.

    Signals:
        list_changed(): `list` has changed.
        changed(): `sha` has changed.
        added(sha): a dataset was added to the library; it is in the list and is the current one.
    """

    list_changed = Signal()
    changed = Signal()
    added = Signal(str)

    def __init__(
        self, library: Library, remembered: Remembered, trash: Trash, notices: Notices, parent: QObject
    ) -> None:
        super().__init__(parent)
        self._library, self._remembered = library, remembered
        self._shelf = Shelf("dataset", trash, self)
        self._shelf.deleted.connect(self._on_deleted)
        self._shelf.restored.connect(self.refresh)
        self._list: tuple[DatasetInfo, ...] | None = None
        self.sha = self._added = self._deleted = ""
        self._reader = LatestTask(self)
        self._reader.done.connect(self._on_read)
        self._reader.failed.connect(notices.fail)

    @property
    def is_read(self) -> bool:
        """Whether the list was read at least once."""
        return self._list is not None

    @property
    def busy(self) -> bool:
        """Whether the list is being read."""
        return self._reader.busy

    def list(self) -> builtins.list[DatasetInfo]:
        """Return all datasets, sorted by name, as last read."""
        return [*(self._list or ())]

    def info(self, sha: str) -> DatasetInfo | None:
        """Return the dataset with this content hash, or None."""
        return next((info for info in self.list() if info.corpus.sha == sha), None)

    @Slot()
    def refresh(self) -> None:
        """Read the list again."""
        from terrarium.models.corpora.datasets import list_datasets

        self._reader.ask(lambda: list_datasets(self._library))

    def choose(self, sha: str) -> None:
        """Make a dataset the current one, '' for none."""
        if sha != self.sha:
            self.sha = sha
            self._remembered.set(_LAST, sha)
            self.changed.emit()

    def add(self, sha: str) -> None:
        """Make a dataset that was added to the library the current one."""
        self._added = sha
        self.refresh()
        self.choose(sha)

    def delete(self, sha: str) -> None:
        """Move a dataset to the trash. Runs on it stay, but cannot be resumed until it is restored."""
        info = self.info(sha)
        if info is not None:
            self._shelf.delete(sha, names={sha: info.name})

    @Slot(object)
    def _on_deleted(self, gone: Sequence[str]) -> None:
        self._list = tuple(info for info in self.list() if info.corpus.sha not in gone)
        self.list_changed.emit()
        if self.sha in gone:
            self._deleted = self.sha  # chosen again when it is restored
            self.choose("")

    @Slot(object)
    def _on_read(self, found: builtins.list[DatasetInfo]) -> None:
        is_first, self._list = not self.is_read, tuple(found)
        last = self._remembered.get(_LAST, "")
        if is_first and not self.sha and self.info(last) is not None:
            self.choose(last)
        self.list_changed.emit()
        if self._added and self.info(self._added) is not None:
            added, self._added = self._added, ""
            self.choose(added)
            self.added.emit(added)
        elif self._deleted and not self.sha and self.info(self._deleted) is not None:
            self.choose(self._deleted)


def about_rows(files: Sequence[str]) -> str:
    """Return the hint for files chosen as running text if one of them contains the rows of a task, else ""."""
    from terrarium.models.importing.inspection import task_of_rows

    task = next(filter(None, map(task_of_rows, files)), "")
    if not task:
        return ""
    return (
        f"These are rows, not running text ({TASKS[task].title.lower()}): import them as a dataset to learn their task."
    )
