"""Finds a tokenizer's tokens by what people type."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QObject, Signal, Slot
from tokenizers import Tokenizer

from app.worker.background import LatestTask
from models.tokenizers import Piece
from models.tokenizers.codec import pieces_of, show_bytes


class TokenSearch(QObject):
    """All tokens by their text; they are spelled beside the window when they are first looked for.

    Signals:
        changed(): others can be found now.
    """

    changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._tokenizer: Tokenizer | None = None
        self._all: list[Piece] | None = None
        self._task = LatestTask(self)
        self._task.done.connect(self._on_spelled)

    @property
    def busy(self) -> bool:
        """Whether tokens are being spelled."""
        return self._task.busy

    @property
    def tokenizer(self) -> Tokenizer | None:
        """Whose tokens are found."""
        return self._tokenizer

    def set_tokenizer(self, tokenizer: Tokenizer | None) -> None:
        """Find the tokens of this one."""
        self._task.cancel()
        self._tokenizer, self._all = tokenizer, None
        self.changed.emit()

    def find(self, text: str, most: int) -> list[Piece]:
        """The tokens with `text` in them: first that very token, with a space before it or without, then short ones.

        Nothing while they are being spelled; `changed` follows.
        """
        tokenizer, wanted = self._tokenizer, show_bytes(text.encode())
        if not wanted or tokenizer is None:
            return []
        if self._all is None:
            if not self.busy:
                self._task.ask(lambda: pieces_of(tokenizer, sorted(tokenizer.get_vocab().values())))
            return []
        bare = wanted.lstrip("·")
        if not bare:
            return [piece for piece in self._all if piece.display == wanted][:most]
        found = [piece for piece in self._all if wanted in piece.display]
        return sorted(found, key=lambda piece: (piece.display.lstrip("·") != bare, len(piece.display), piece.id))[:most]

    @Slot(object)
    def _on_spelled(self, pieces: Any) -> None:
        self._all = pieces
        self.changed.emit()
