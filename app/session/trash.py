"""The trash: deleting with undo, and restoring or deleting for good what is there."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot

from app.worker.background import LatestTask, TaskQueue
from app.worker.notices import Notices
from models.library.library import Library
from models.library.trash import KINDS, TrashedItem, delete_expired, delete_for_good, list_trash, read_origin

log = logging.getLogger(__name__)


class Trash(QObject):
    """Moves files and folders to the library's trash, and lists what is there. Failures are reported as notices.

    items: what was there at the last `refresh`, the newest first; None before the first one has ended.

    Signals:
        changed(): `items` or `busy` has changed.
        restored(kind): something of this kind (see models.library.trash) is back in its place.
    """

    changed = Signal()
    restored = Signal(str)

    def __init__(self, library: Library, notices: Notices, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._library, self._notices = library, notices
        self.items: Sequence[TrashedItem] | None = None
        self._reading: LatestTask | None = None
        self._deleting: TaskQueue | None = None

    @property
    def busy(self) -> bool:
        """Whether something is being deleted for good."""
        return self._deleting is not None and self._deleting.busy

    def delete(self, path: Path, sentence: str) -> None:
        """Move a file or folder there, and offer an undo with `sentence`."""
        self._notices.attempt(lambda: self.offer_undo(sentence, (self._library.move_to_trash(path),)))

    def offer_undo(self, sentence: str, tokens: Sequence[str]) -> None:
        """Offer an undo of deletions with these tokens of `Library.move_to_trash`."""
        self._notices.deleted.emit(sentence, lambda: self.restore(tokens))
        self._refresh_if_read()

    def restore(self, tokens: Sequence[str]) -> None:
        """Put deletions back where they were; a notice says if one has another name now."""
        kinds: dict[str, None] = {}
        for token in tokens:
            self._notices.attempt(partial(self._restore, token, kinds))
        for kind in kinds:
            self.restored.emit(kind)
        self._refresh_if_read()

    def _restore(self, token: str, kinds: dict[str, None]) -> None:
        origin = read_origin(self._library.trash / token)
        target = self._library.restore(token)
        kind = KINDS.get(origin.parts[0], "file")
        kinds[kind] = None
        if target.name != origin.name:
            was, now = (Path(name).stem if kind == "design" else name for name in (origin.name, target.name))
            self._notices.say(f"There is a {kind} called “{was}” already, so this one was restored as “{now}”.")

    def refresh(self) -> None:
        """List what is there, in the background."""
        if self._reading is None:
            self._reading = LatestTask(self)
            self._reading.done.connect(self._on_read)
            self._reading.failed.connect(self._notices.fail)
        self._reading.ask(lambda: list_trash(self._library.trash))

    def delete_for_good(self, tokens: Sequence[str]) -> None:
        """Delete deletions for good, in the background."""

        def delete() -> None:
            for token in tokens:
                delete_for_good(self._library.trash, token)

        self._deletion().ask(delete)
        self.changed.emit()

    def clear_expired(self) -> None:
        """Delete for good what has been there for too long, in the background: at launch."""

        def delete() -> None:
            n = delete_expired(self._library.trash)
            if n:
                log.info("%d old deletions were deleted for good", n)

        self._deletion().ask(delete)

    def _deletion(self) -> TaskQueue:
        if self._deleting is None:
            self._deleting = TaskQueue(self)
            self._deleting.done.connect(self._on_deleted)
            self._deleting.failed.connect(self._notices.fail)
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
