"""Deleting with undo: files are moved to the library's trash, and a notice offers to restore them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from app.worker.notices import Notices
from models.library.library import Library


class Trash:
    """Moves files and folders to the library's trash. Failures are reported as notices."""

    def __init__(self, library: Library, notices: Notices) -> None:
        self._library, self._notices = library, notices

    def delete(self, path: Path, sentence: str, restored: Callable[[], object]) -> None:
        """Move a file or folder there and offer an undo with `sentence`; `restored` is called after an undo."""
        self._notices.attempt(lambda: self.offer_undo(sentence, (self._library.move_to_trash(path),), restored))

    def offer_undo(self, sentence: str, tokens: Sequence[str], restored: Callable[[], object]) -> None:
        """Offer an undo of deletions with these tokens of `Library.move_to_trash`."""

        def undo() -> None:
            for token in tokens:
                self._notices.attempt(partial(self._library.restore, token))
            restored()

        self._notices.deleted.emit(sentence, undo)
