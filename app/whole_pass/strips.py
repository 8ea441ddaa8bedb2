"""Small pictures line by line: vectors as strips of coloured cells (blue below zero, ochre above), tokens as bars."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QFontMetrics, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from terrarium.app.kit.painted_rows import PaintedRows
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.plots.heat_map import Colours, colour_table, coloured
from terrarium.models.number_words import format_prob

if TYPE_CHECKING:
    from terrarium.app.plots.pictures import Floats

_CELL = 2.0
"""The minimum cell width in pixels: a vector that is too long wraps into further rows."""
_LONGEST = 110
"""The maximum width of a token in pixels."""


def paint_strip(painter: QPainter, room: QRectF, vector: Floats, table: Colours) -> None:
    """Draw all elements of a vector (C), row by row; the colours are scaled to its largest absolute value."""
    n_rows = max(1, min(math.ceil(len(vector) * _CELL / max(room.width(), 1.0)), int(room.height() / _CELL)))
    n_columns = math.ceil(len(vector) / n_rows)
    cells = np.full(n_rows * n_columns, np.nan, np.float32)
    cells[: len(vector)] = vector
    reach = float(np.abs(vector).max()) or 1.0
    painter.drawImage(room, coloured(cells.reshape(n_rows, n_columns), -reach, reach, table))


def length_of(vector: Floats) -> str:
    """“length 1.97”."""
    return f"length {float(np.linalg.norm(vector)):.3g}"


class VectorStrips(PaintedRows):
    """Vectors one below the other, each with its name and its length."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__("Vectors as colours", theme, parent)
        self._vectors: Mapping[str, Floats] = {}

    def show_vectors(self, vectors: Mapping[str, Floats]) -> None:
        """Show other vectors (C), by name."""
        self._vectors = vectors
        self.setAccessibleDescription(", ".join(map(self.tip, range(len(vectors)))))
        self._restyle()

    @property
    def _n_rows(self) -> int:
        return len(self._vectors)

    def tip(self, row: int) -> str:
        shown = list(self._vectors.items())[row : row + 1]
        return "".join(f"{name}: {length_of(vector)}" for name, vector in shown)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter, colors, line = QPainter(self), self._theme.theme, self._row_height
        painter.setFont(self._theme.font(0.9))
        metrics, table = painter.fontMetrics(), colour_table(self._theme, "diverging")
        left = max((metrics.horizontalAdvance(name) for name in self._vectors), default=0) + SPACE
        right = max((metrics.horizontalAdvance(length_of(v)) for v in self._vectors.values()), default=0) + SPACE
        for i, (name, vector) in enumerate(self._vectors.items()):
            row = QRectF(0, i * line, self.width(), line)
            painter.setPen(colors.color("muted"))
            painter.drawText(row, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, name)
            painter.drawText(row, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, length_of(vector))
            strip = row.adjusted(left, 2, -right, -2)
            paint_strip(painter, strip, vector, table)
            painter.setPen(QPen(colors.color("border"), 1))
            painter.drawRect(strip.adjusted(-0.5, -0.5, 0.5, 0.5))


class TokenBar(NamedTuple):
    """A token, its probability, the text after it (may be ""), and whether it is in focus."""

    word: str
    share: float
    more: str
    is_target: bool


class TopTokens(PaintedRows):
    """A line for each token: its text, a bar from 0 to 100 %, and the number."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__("Likeliest tokens", theme, parent)
        self.bars: Sequence[TokenBar] = ()

    def show_bars(self, bars: Sequence[TokenBar]) -> None:
        """Show other tokens."""
        self.bars = bars
        self.setAccessibleDescription(", ".join(map(self.tip, range(len(bars)))))
        self._restyle()

    @property
    def _n_rows(self) -> int:
        return len(self.bars)

    def tip(self, row: int) -> str:
        return "".join(f"{bar.word} {format_prob(bar.share)}" for bar in self.bars[row : row + 1])

    def paintEvent(self, event: QPaintEvent) -> None:
        painter, colors, line = QPainter(self), self._theme.theme, self._row_height
        mono, plain = self._theme.mono_font(0.9), self._theme.font(0.9)
        words, numbers = QFontMetrics(mono), QFontMetrics(plain)
        left = min(max((words.horizontalAdvance(bar.word) for bar in self.bars), default=0), _LONGEST) + SPACE
        wide = max((numbers.horizontalAdvance(format_prob(bar.share)) for bar in self.bars), default=0)
        more = max((numbers.horizontalAdvance(bar.more) for bar in self.bars), default=0)
        more += SPACE if more else 0
        middle = Qt.AlignmentFlag.AlignVCenter
        for i, bar in enumerate(self.bars):
            row = QRectF(0, i * line, self.width(), line)
            painter.setFont(mono)
            painter.setPen(colors.color("text"))
            shown = words.elidedText(bar.word, Qt.TextElideMode.ElideRight, _LONGEST)
            painter.drawText(row, Qt.AlignmentFlag.AlignLeft | middle, shown)
            room = row.adjusted(left, 3, -(wide + more + SPACE), -3)
            painter.fillRect(room, colors.color("border", 0.7))
            room.setWidth(max(room.width() * bar.share, 1.0))
            painter.fillRect(room, colors.color("accent" if bar.is_target else "border_strong"))
            painter.setFont(plain)
            painter.setPen(colors.color("muted"))
            painter.drawText(row.adjusted(0, 0, -more, 0), Qt.AlignmentFlag.AlignRight | middle, format_prob(bar.share))
            painter.drawText(row, Qt.AlignmentFlag.AlignRight | middle, bar.more)
