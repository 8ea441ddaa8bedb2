"""Deleting with a way back: what is deleted goes to the library's trash, and the user is offered to undo it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from app.worker.notices import Notices
from models.library.library import Library


class Trash:
    """Moves files and folders to the library's trash. What cannot be moved, or brought back, is said."""

    def __init__(self, library: Library, notices: Notices) -> None:
        self._library, self._notices = library, notices

    def delete(self, path: Path, sentence: str, restored: Callable[[], object]) -> None:
        """Move it there and say `sentence`; `restored` is called after an undo."""
        self._notices.attempt(lambda: self.offer_undo(sentence, (self._library.move_to_trash(path),), restored))

    def offer_undo(self, sentence: str, tokens: Sequence[str], restored: Callable[[], object]) -> None:
        """Say that what has these tokens of `Library.move_to_trash` was deleted."""

        def undo() -> None:
            for token in tokens:
                self._notices.attempt(partial(self._library.restore, token))
            restored()

        self._notices.deleted.emit(sentence, undo)
