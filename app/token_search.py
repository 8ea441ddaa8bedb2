"""Finds tokens of a run's vocabulary by what people type."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Slot
from tokenizers import Tokenizer

from app.token_names import TokenNames
from models.tokenizers import Piece
from models.tokenizers.pieces import pieces_of, show_bytes


class TokenSearch(TokenNames):
    """The names of a run's tokens, and all of them by their text. After `changed`, others can be found."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._all: list[Piece] = []

    def read(self, folder: Path | None) -> None:
        if folder != self._folder:
            self._all = []
        super().read(folder)

    def find(self, text: str, most: int) -> list[Piece]:
        """The tokens with `text` in them: first that very token, with a space before it or without, then short ones."""
        wanted = show_bytes(text.encode())
        bare = wanted.lstrip("·")
        if not bare:
            return [piece for piece in self._all if wanted and piece.display == wanted][:most]
        found = [piece for piece in self._all if wanted in piece.display]
        return sorted(found, key=lambda piece: (piece.display.lstrip("·") != bare, len(piece.display), piece.id))[:most]

    def _load(self, path: Path) -> tuple[Tokenizer, list[Piece]]:
        tokenizer = super()._load(path)
        return tokenizer, pieces_of(tokenizer, sorted(tokenizer.get_vocab().values()))

    @Slot(object)
    def _on_read(self, read: Any) -> None:
        tokenizer, self._all = read
        super()._on_read(tokenizer)
