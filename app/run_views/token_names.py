"""The texts of a run's tokens, from its tokenizer, which is read in the background."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot
from tokenizers import Tokenizer

from terrarium.app.worker.background import LatestTask
from terrarium.models.tokenizers import Piece, read_tokenizer
from terrarium.models.tokenizers.codec import pieces_of


class TokenNames(QObject):
    """Converts token ids to pieces. Before the tokenizer has been read, or if that fails, a piece shows only its id.

    Signals:
        changed(): the tokenizer has been read.
    """

    changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._folder: Path | None = None
        self._tokenizer: Tokenizer | None = None
        self._known: dict[int, Piece] = {}
        self._task = LatestTask(self)
        self._task.done.connect(self._on_read)

    @property
    def busy(self) -> bool:
        """Whether the tokenizer is being read."""
        return self._task.busy

    def read(self, folder: Path | None) -> None:
        """Use the tokenizer of the run in `folder`; None for no run."""
        if folder == self._folder:
            return
        self._folder, self._tokenizer = folder, None
        self._known.clear()
        self._task.cancel()
        if folder is not None:
            path = folder / "tokenizer.json"
            self._task.ask(lambda: read_tokenizer(path))

    def pieces(self, ids: Iterable[int]) -> list[Piece]:
        """Return the pieces of token ids."""
        ids = list(ids)
        missing = sorted(set(ids) - self._known.keys())
        if missing and self._tokenizer is not None:
            for piece in pieces_of(self._tokenizer, [id for id in missing if self._has(id)]):
                self._known[piece.id] = piece
        return [self._known.get(id) or Piece(id, b"", 0, 0, f"#{id}") for id in ids]

    def _has(self, id: int) -> bool:
        """Return whether the tokenizer has an id; the model's vocabulary may be larger than the tokenizer's."""
        return self._tokenizer is not None and self._tokenizer.id_to_token(id) is not None

    @Slot(object)
    def _on_read(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self.changed.emit()
