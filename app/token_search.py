"""Finds tokens of a run's vocabulary by what people type, the vocabulary being read beside the window."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot

from app.aside import Aside
from models.tokenizers import Piece, read_tokenizer
from models.tokenizers.pieces import pieces_of, show_bytes


class TokenSearch(QObject):
    """All tokens of a run, by their text.

    Signals:
        changed(): others can be found now, or none.
    """

    changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._folder: Path | None = None
        self._pieces: list[Piece] = []
        self._by_id: dict[int, Piece] = {}
        self._aside = Aside(self)
        self._aside.done.connect(self._on_read)

    @property
    def busy(self) -> bool:
        """Whether a vocabulary is being read."""
        return self._aside.busy

    def read(self, folder: Path | None) -> None:
        """Search the tokens of the run in `folder` from now on; None for no run."""
        if folder == self._folder:
            return
        self._folder = folder
        self._aside.cancel()
        self._on_read([])
        if folder is not None:
            path = folder / "tokenizer.json"
            self._aside.ask(lambda: _all_pieces(path))

    def name(self, id: int) -> str:
        """What a token is called."""
        return self._by_id[id].display if id in self._by_id else f"#{id}"

    def find(self, text: str, most: int) -> list[Piece]:
        """The tokens with `text` in them: first that very token, with a space before it or without, then short ones."""
        wanted = show_bytes(text.encode())
        bare = wanted.lstrip("·")
        if not bare:
            return [piece for piece in self._pieces if wanted and piece.display == wanted][:most]
        found = [piece for piece in self._pieces if wanted in piece.display]
        return sorted(found, key=lambda piece: (piece.display.lstrip("·") != bare, len(piece.display), piece.id))[:most]

    @Slot(object)
    def _on_read(self, pieces: list[Piece]) -> None:
        self._pieces = pieces
        self._by_id = {piece.id: piece for piece in pieces}
        self.changed.emit()


def _all_pieces(path: Path) -> list[Piece]:
    tokenizer = read_tokenizer(path)
    return pieces_of(tokenizer, sorted(tokenizer.get_vocab().values()))
