"""The tokenizers of the library, and the current one."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal, Slot

from terrarium.app.session.remembered import Remembered
from terrarium.app.session.shelf import Shelf
from terrarium.app.session.trash import Trash
from terrarium.app.worker.background import LatestTask, TaskQueue
from terrarium.app.worker.failures import Failure
from terrarium.app.worker.notices import Notices
from terrarium.models.events import Event, RunStarted
from terrarium.models.library.library import Library, TokenizerInfo

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_LAST = "tokenizer"


class Tokenizers(QObject):
    """Choose, rename, copy and delete tokenizers; problems are reported as notices.

    name: the name of the current tokenizer in the library, '' if none is chosen. current: the tokenizer itself; None
    until it has been read in the background, as it may have hundreds of megabytes.

    Signals:
        changed(): `name`, `current` or `is_loading` has changed.
        list_changed(): tokenizers were added, removed or renamed.
    """

    changed = Signal()
    list_changed = Signal()

    def __init__(
        self, library: Library, remembered: Remembered, trash: Trash, notices: Notices, parent: QObject
    ) -> None:
        super().__init__(parent)
        self._library, self._remembered, self._notices = library, remembered, notices
        self._shelf = Shelf("tokenizer", trash, self, rename=self._rename)
        self._shelf.renamed.connect(self._on_renamed)
        self._shelf.deleted.connect(self._on_deleted)
        self._shelf.changed.connect(self.list_changed)
        self.current: Tokenizer | None = None
        self.name = ""
        self._former: tuple[str, Tokenizer | None] = ("", None)
        self._reader, self._copier = LatestTask(self), TaskQueue(self)
        self._reader.done.connect(self._on_read)
        self._reader.failed.connect(self._on_not_read)
        self._copier.done.connect(self.add)
        self._copier.failed.connect(notices.fail)

    @property
    def is_loading(self) -> bool:
        """Whether the chosen tokenizer is being read."""
        return self._reader.busy

    def choose_last(self) -> None:
        """Choose the last chosen tokenizer, or the first in the list."""
        names = [info.name for info in self.list() if info.problem is None]
        wanted = self._remembered.get(_LAST, "")
        if names:
            self.choose(wanted if wanted in names else names[0])

    @Slot(object)
    def on_training_events(self, events: Sequence[Event]) -> None:
        """Reread the list when a run starts, as its preparation may have trained a tokenizer."""
        if any(isinstance(event, RunStarted) for event in events):
            self.reread()

    @Slot()
    def reread(self) -> None:
        """Reread the list, including tokenizers made by other work, and choose one if none is chosen."""
        self.list_changed.emit()
        if self.current is None and not self.is_loading:
            self.choose_last()

    def list(self) -> builtins.list[TokenizerInfo]:
        """Return all tokenizers of the library, sorted by name."""
        return self._library.list_tokenizers()

    def choose(self, name: str) -> None:
        """Choose a tokenizer of the library; if it cannot be read, fall back to the previous choice."""
        from terrarium.models.tokenizers import load_tokenizer

        if not self.is_loading:
            self._former = self.name, self.current
        self.name, self.current = name, None
        self._reader.ask(lambda: load_tokenizer(name, self._library))
        self.changed.emit()

    @Slot(object)
    def _on_read(self, tokenizer: Tokenizer) -> None:
        self.current, self._former = tokenizer, ("", None)
        self._set_name(self.name)

    @Slot(object)
    def _on_not_read(self, failure: Failure) -> None:
        self.name, self.current = self._former
        self._former = "", None
        self._notices.fail(failure)
        self.changed.emit()

    def about(self, name: str) -> dict[str, Any]:
        """Return the metadata of a tokenizer: its origin and the user's notes; {} if it cannot be read."""
        from terrarium.models.tokenizers import read_about

        try:
            return read_about(self._library.tokenizers / name)
        except ValueError as error:
            self._notices.refuse(str(error))
            return {}

    def rename(self, name: str, new_name: str) -> bool:
        """Rename a tokenizer, as a step that can be undone; return whether it succeeded."""
        return self._shelf.rename(name, new_name)

    def _rename(self, name: str, new_name: str) -> str:
        from terrarium.models.tokenizers import rename_tokenizer

        return rename_tokenizer(self._library, name, new_name)

    @Slot(str, str)
    def _on_renamed(self, name: str, new_name: str) -> None:
        if name == self.name:
            self._set_name(new_name)

    def duplicate(self, name: str) -> None:
        """Copy a tokenizer under an unused name, and choose the copy."""
        from terrarium.models.tokenizers import duplicate_tokenizer

        self._copier.ask(lambda: duplicate_tokenizer(self._library, name))

    def set_notes(self, name: str, notes: str) -> bool:
        """Save the user's notes on a tokenizer; return whether it succeeded."""
        from terrarium.models.tokenizers import update_about

        return self._notices.attempt(lambda: update_about(self._library.tokenizers / name, {"notes": notes}))

    def delete(self, name: str) -> None:
        """Move a tokenizer to the trash."""
        self._shelf.delete(name)

    @Slot(object)
    def _on_deleted(self, names: Sequence[str]) -> None:
        if self._former[0] in names:
            self._former = "", None
        if self.name in names:
            self._reader.cancel()
            self.current, self.name = None, ""
            self.changed.emit()

    @Slot(object)
    def add(self, name: str) -> None:
        """Choose a tokenizer that was added to the library."""
        self.list_changed.emit()
        self.choose(name)

    def _set_name(self, name: str) -> None:
        self.name = name
        self._remembered.set(_LAST, name)
        self.changed.emit()
