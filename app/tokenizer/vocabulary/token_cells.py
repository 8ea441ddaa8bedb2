"""A Qt table model of the rows of a vocabulary; cells are created lazily."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt, Slot
from PySide6.QtGui import QColor, QFont
from PySide6.QtWidgets import QWidget

from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.kit.tokens.glyphs import Glyphs
from terrarium.models.number_words import with_minus
from terrarium.models.tokenizers.vocabulary.token_counts import USE_NAMES, USES, Usage
from terrarium.models.tokenizers.vocabulary.token_types import TYPES
from terrarium.models.tokenizers.vocabulary.vocabulary import Vocabulary, VocabularyEntry

Index = QModelIndex | QPersistentModelIndex

TITLES = {
    "id": ("Id", "The token's number: all that the model sees of it"),
    "token": (
        "Token",
        "Its text, with · for a space, ⏎ for a line break, ⟨E2⟩ for a byte that is not a whole character",
    ),
    "bytes": ("Bytes", "Its UTF-8 bytes in hexadecimal"),
    "length": ("Length", "Its number of bytes"),
    "type": ("Type", "Its type"),
    "count": ("Count", "How often it occurs in the corpus"),
    "made": ("Merge", "The two tokens that it is merged from; sorts by rank"),
}
"""Column -> (title, tooltip)."""

_SCORE = ("Score", "Its log-probability in the tokenizer")
DESCENDING_FIRST = ("length", "count")
"""Columns that sort in descending order first."""

_RIGHT = ("id", "length", "count")
_MAX_CHARACTERS, _MAX_BYTES = 120, 40  # limits for the text of a cell


class VocabularyModel(QAbstractTableModel):
    """Rows of a vocabulary in any order."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self.vocabulary: Vocabulary | None = None
        self.usage: Usage | None = None
        self.rows: NDArray[np.int64] = np.zeros(0, np.int64)
        self.columns: tuple[str, ...] = ()
        self._mono, self._faint = QFont(), QColor()
        self._restyle()
        theme.theme_changed.connect(self._restyle)

    def set_vocabulary(self, vocabulary: Vocabulary | None, usage: Usage | None) -> None:
        """Set the vocabulary and its counts, without rows."""
        self.beginResetModel()
        self.vocabulary, self.usage = vocabulary, usage
        self.rows = np.zeros(0, np.int64)
        has_made = vocabulary is not None and (vocabulary.n_merges > 0 or vocabulary.scores is not None)
        left_out = {"count"} if usage is None else set()
        self.columns = tuple(name for name in TITLES if name not in left_out and (name != "made" or has_made))
        self.endResetModel()

    def set_rows(self, rows: NDArray[np.int64]) -> None:
        """Show these rows of the vocabulary in this order."""
        self.beginResetModel()
        self.rows = rows
        self.endResetModel()

    def model_row(self, row: int) -> int:
        """Return the model row of a row of the vocabulary, -1 if it is not shown."""
        matches = np.flatnonzero(self.rows == row)
        return int(matches[0]) if len(matches) else -1

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self.rows)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self.columns)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if orientation != Qt.Orientation.Horizontal or section >= len(self.columns):
            return None
        name = self.columns[section]
        has_scores = self.vocabulary is not None and self.vocabulary.scores is not None
        title, tip = _SCORE if name == "made" and has_scores else TITLES[name]
        if role == Qt.ItemDataRole.DisplayRole:
            return title
        if role == Qt.ItemDataRole.ToolTipRole:
            return f"{tip}. Click to sort"
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return self._alignment(name)
        if role == Qt.ItemDataRole.InitialSortOrderRole:
            return Qt.SortOrder.DescendingOrder if name in DESCENDING_FIRST else Qt.SortOrder.AscendingOrder
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if self.vocabulary is None or not index.isValid():
            return None
        name, row = self.columns[index.column()], int(self.rows[index.row()])
        if role == Qt.ItemDataRole.DisplayRole:
            return self.cell_text(name, row)
        if role == Qt.ItemDataRole.ToolTipRole:
            return self._tip(name, row)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return self._alignment(name)
        if role == Qt.ItemDataRole.FontRole:
            return None if name == "type" else self._mono
        if role == Qt.ItemDataRole.ForegroundRole:
            return self._faint if name in ("bytes", "type") or not self.vocabulary.reachable[row] else None
        return None

    def cell_text(self, name: str, row: int) -> str:
        """Return the text of a cell."""
        assert self.vocabulary is not None
        table = self.vocabulary
        if name == "id":
            return f"{table.ids[row]}"
        if name == "token":
            return self._glyphs.drawable(table.shown[row][:_MAX_CHARACTERS])
        if name == "bytes":
            return format_hex(table.data[row])
        if name == "length":
            return f"{table.n_bytes[row]}"
        if name == "type":
            return table[row].type.capitalize()
        if name == "count":
            return "" if self.usage is None else f"{self.usage.counts[row]:,}"
        return self._glyphs.drawable(format_origin(table, table[row]))

    def _tip(self, name: str, row: int) -> str:
        assert self.vocabulary is not None
        token = self.vocabulary[row]
        if name == "type":
            return TYPES[token.type]
        if name == "count" and self.usage is not None:
            return USES[USE_NAMES[self.usage.uses[row]]]
        if name == "made" and token.rank >= 0:
            return f"Merge {token.rank + 1:,} of {self.vocabulary.n_merges:,}"
        if name in ("token", "bytes") and not token.reachable:
            return USES["unreachable"]
        return ""

    def _alignment(self, name: str) -> Qt.AlignmentFlag:
        is_right = name in _RIGHT or (name == "made" and self.vocabulary is not None and self.vocabulary.n_merges == 0)
        side = Qt.AlignmentFlag.AlignRight if is_right else Qt.AlignmentFlag.AlignLeft
        return side | Qt.AlignmentFlag.AlignVCenter

    @Slot()
    def _restyle(self) -> None:
        self._mono, self._faint = self._theme.mono_font(0.95), self._theme.theme.color("muted")
        self._glyphs = Glyphs(self._mono)


def format_hex(data: bytes) -> str:
    """Format bytes in hexadecimal, shortened if there are many."""
    return data[:_MAX_BYTES].hex(" ").upper() + (" …" if len(data) > _MAX_BYTES else "")


def format_origin(vocabulary: Vocabulary, token: VocabularyEntry) -> str:
    """Format the merge of a token (“in + ter”), or its score; "" if it has neither."""
    if token.score is not None:
        return "" if np.isnan(token.score) else with_minus(f"{token.score:.3f}")
    if token.rank < 0:
        return ""
    parts = (vocabulary.shown[vocabulary.row_of(id)][:_MAX_CHARACTERS] for id in (token.left, token.right))
    return " + ".join(parts)


def copied_text(token: VocabularyEntry) -> str:
    """Return the clipboard text of a token."""
    return token.bytes.hex(" ").upper() if token.text is None else token.text
