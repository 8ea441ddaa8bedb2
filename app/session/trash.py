"""The trash: deletion with undo, restoring, and permanent deletion."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial

from PySide6.QtCore import QObject, Signal, Slot

from terrarium.app.session.undo import Step, Undo
from terrarium.app.worker.background import LatestTask, TaskQueue
from terrarium.app.worker.notices import Notices
from terrarium.models.library.library import Library
from terrarium.models.library.trash import KINDS, TrashedItem, delete_expired, delete_for_good, list_trash, read_origin

log = logging.getLogger(__name__)

STACKS = {
    "run": "training",
    "tokenizer": "tokenizer",
    "dataset": "data",
    "design": "builder",
    "chat": "chat",
    "preference set": "chat",
}
"""Kind -> the undo stack of its renames and deletions."""
_FOLDERS = {kind: folder for folder, kind in KINDS.items()}
_SUFFIXES = {"design": ".json", "chat": ".json"}
"""Kind -> what the names of its files add to their keys."""


class Trash(QObject):
    """Moves files and folders to the library's trash, and lists its items. Failures are reported as notices.

    key: identifies a thing of a kind: the name of its file, without the suffix of the kind, or of its folder.
    undo: the stacks that record deletions. notices: where failures are reported.
    items: the trash's items at the last `refresh`, the newest first; None before the first refresh has finished.

    Signals:
        changed(): `items` or `busy` has changed.
        restored(kind, keys): items of this kind (see models.library.trash) were restored; keys: token -> key.
    """

    changed = Signal()
    restored = Signal(str, object)

    def __init__(self, library: Library, notices: Notices, undo: Undo, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._library, self.notices, self.undo = library, notices, undo
        self.changed.connect(undo.forget_stale)
        self.items: Sequence[TrashedItem] | None = None
        self._sentences: dict[str, str] = {}  # token -> the notice shown when it was deleted
        self._reading: LatestTask | None = None
        self._deleting: TaskQueue | None = None

    @property
    def busy(self) -> bool:
        """Whether a permanent deletion is running."""
        return self._deleting is not None and self._deleting.busy

    def move(self, kind: str, key: str) -> Sequence[str]:
        """Move a file or folder to the trash; return its token in a list, which is empty if it cannot be moved."""
        path, tokens = self._library.home / _FOLDERS[kind] / f"{key}{_SUFFIXES.get(kind, '')}", list[str]()
        self.notices.attempt(lambda: tokens.append(self._library.move_to_trash(path)))
        return tokens

    def offer_undo(self, kind: str, what: str, tokens: Sequence[str], again: Callable[[], Sequence[str]]) -> None:
        """Push a deletion onto the undo stack of a kind, and show a notice about it.

        Args:
            what: the deleted thing, as “design “mine””.
            tokens: from `Library.move_to_trash`. Nothing happens if there are none.
            again: moves what was restored to the trash again, and returns the tokens of that.
        """
        if not tokens:
            return

        def redo() -> bool:
            nonlocal tokens
            tokens = again()
            return bool(tokens)

        def is_stale() -> bool:
            return not any((self._library.trash / token).exists() for token in tokens)

        stack = STACKS[kind]
        step = Step(f"deletion of {what}", lambda: self.restore(tokens), redo, is_stale=is_stale)
        self.undo.add(stack, step)
        sentence = f"{what[0].upper()}{what[1:]} deleted"
        self._sentences |= dict.fromkeys(tokens, sentence)
        self.notices.deleted.emit(sentence, lambda: self.undo.take_back(stack, step))
        self._refresh_if_read()

    def restore(self, tokens: Sequence[str]) -> bool:
        """Restore deletions; return whether any was. A notice says if one was restored under another name."""
        restored: dict[str, dict[str, str]] = {}
        for token in tokens:
            self.notices.attempt(partial(self._restore, token, restored))
        for kind, keys in restored.items():
            self.restored.emit(kind, keys)
        self.undo.forget_stale()
        self._refresh_if_read()
        return bool(restored)

    def _restore(self, token: str, restored: dict[str, dict[str, str]]) -> None:
        origin = read_origin(self._library.trash / token)
        target = self._library.restore(token)
        kind = KINDS.get(origin.parts[0], "file")
        was, now = (path.name.removesuffix(_SUFFIXES.get(kind, "")) for path in (origin, target))
        restored.setdefault(kind, {})[token] = now
        if sentence := self._sentences.pop(token, ""):
            self.notices.undone.emit(sentence)
        if was != now:
            self.notices.say(f"There is a {kind} called “{was}” already, so this one was restored as “{now}”.")

    def refresh(self) -> None:
        """Read the list of items in the background."""
        if self._reading is None:
            self._reading = LatestTask(self)
            self._reading.done.connect(self._on_read)
            self._reading.failed.connect(self.notices.fail)
        self._reading.ask(lambda: list_trash(self._library.trash))

    def delete_for_good(self, tokens: Sequence[str]) -> None:
        """Permanently delete items of the trash, in the background."""

        def delete() -> None:
            for token in tokens:
                delete_for_good(self._library.trash, token)

        self._deletion().ask(delete)
        self.changed.emit()

    def clear_expired(self) -> None:
        """Permanently delete expired items in the background. Called at launch."""

        def delete() -> None:
            n = delete_expired(self._library.trash)
            if n:
                log.info("%d old deletions were deleted for good", n)

        self._deletion().ask(delete)

    def _deletion(self) -> TaskQueue:
        if self._deleting is None:
            self._deleting = TaskQueue(self)
            self._deleting.done.connect(self._on_deleted)
            self._deleting.failed.connect(self.notices.fail)
            self._deleting.failed.connect(self._on_deleted)
        return self._deleting

    def _refresh_if_read(self) -> None:
        if self.items is not None:
            self.refresh()

    @Slot(object)
    def _on_read(self, items: Sequence[TrashedItem]) -> None:
        self.items = items
        self.changed.emit()

    @Slot()
    def _on_deleted(self) -> None:
        self.changed.emit()
        self._refresh_if_read()
