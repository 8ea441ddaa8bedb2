"""Small pictures line by line: vectors as strips of coloured cells (blue below zero, ochre above), tokens as bars."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PySide6.QtCore import QRectF, QSize, Qt, Slot
from PySide6.QtGui import QFontMetrics, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.kit.figures.heat_map import Colours, colour_table, coloured
from app.kit.theme import SPACE, ThemeProvider
from models.number_words import format_prob

if TYPE_CHECKING:
    from app.kit.figures.pictures import Floats

_CELL = 2.0
"""Pixels of a number at least: a vector that needs more than its width continues in a second row, and so on."""
_LONGEST = 110
"""Pixels of a token at most."""


def paint_strip(painter: QPainter, room: QRectF, vector: Floats, table: Colours) -> None:
    """Draw all numbers of a vector (C), row by row; the strongest colours stand for its largest one in size."""
    n_rows = max(1, min(math.ceil(len(vector) * _CELL / max(room.width(), 1.0)), int(room.height() / _CELL)))
    n_columns = math.ceil(len(vector) / n_rows)
    cells = np.full(n_rows * n_columns, np.nan, np.float32)
    cells[: len(vector)] = vector
    reach = float(np.abs(vector).max()) or 1.0
    painter.drawImage(room, coloured(cells.reshape(n_rows, n_columns), -reach, reach, table))


def length_of(vector: Floats) -> str:
    """“length 1.97”."""
    return f"length {float(np.linalg.norm(vector)):.3g}"


class LinesPicture(QWidget):
    """Some things drawn below each other, each in a line of its own.

    Args:
        is_mono: whether a line is as high as the font of tokens, instead of that of names.
    """

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None, *, is_mono: bool = False) -> None:
        super().__init__(parent)
        self._theme, self._is_mono, self._n_lines = theme, is_mono, 0
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        theme.theme_changed.connect(self._restyle)

    def _show_lines(self, n_lines: int) -> None:
        self._n_lines = n_lines
        self._restyle()

    @Slot()
    def _restyle(self) -> None:
        self.updateGeometry()
        self.update()

    def _line(self) -> int:
        """Height of a line in pixels."""
        font = self._theme.mono_font(0.9) if self._is_mono else self._theme.font(0.9)
        return QFontMetrics(font).height() + 4

    def sizeHint(self) -> QSize:
        return QSize(260, self._line() * self._n_lines)

    def minimumSizeHint(self) -> QSize:
        return QSize(160, self._line() * self._n_lines)


class VectorStrips(LinesPicture):
    """Some vectors below each other, each with its name and its length."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(theme, parent)
        self._vectors: Mapping[str, Floats] = {}

    def show_vectors(self, vectors: Mapping[str, Floats]) -> None:
        """Show other vectors (C), by name."""
        self._vectors = vectors
        lengths = ", ".join(f"{name}: {length_of(vector)}" for name, vector in vectors.items())
        self.setAccessibleName(f"Vectors as colours. {lengths}")
        self._show_lines(len(vectors))

    def paintEvent(self, event: QPaintEvent) -> None:
        painter, colors, line = QPainter(self), self._theme.theme, self._line()
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
    """A token, its probability, what is written behind it ("" for nothing), and whether it is the one in focus."""

    word: str
    share: float
    more: str
    is_target: bool


class TopTokens(LinesPicture):
    """A line for each token: its text, a bar from 0 to 100 %, and the number."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(theme, parent, is_mono=True)
        self.bars: Sequence[TokenBar] = ()

    def show_bars(self, bars: Sequence[TokenBar]) -> None:
        """Show other tokens."""
        self.bars = bars
        self.setAccessibleName("Likeliest tokens: " + ", ".join(f"{bar.word} {format_prob(bar.share)}" for bar in bars))
        self._show_lines(len(bars))

    def paintEvent(self, event: QPaintEvent) -> None:
        painter, colors, line = QPainter(self), self._theme.theme, self._line()
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
