"""Vectors as strips of coloured cells, one for each number: blue below zero, ochre above."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QRectF, QSize, Qt, Slot
from PySide6.QtGui import QFontMetrics, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.kit.figures.heat_map import Colours, colour_table, coloured
from app.kit.theme import SPACE, ThemeProvider

if TYPE_CHECKING:
    from app.kit.figures.pictures import Floats

_CELL = 2.0
"""Pixels of a number at least: a vector that needs more than its width goes on in a second row, and so on."""


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


class VectorStrips(QWidget):
    """Some vectors below each other, each with its name and its length."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._vectors: Mapping[str, Floats] = {}
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        theme.theme_changed.connect(self._restyle)

    def show_vectors(self, vectors: Mapping[str, Floats]) -> None:
        """Show other vectors (C), by name."""
        self._vectors = vectors
        lengths = ", ".join(f"{name}: {length_of(vector)}" for name, vector in vectors.items())
        self.setAccessibleName(f"Vectors as colours. {lengths}")
        self._restyle()

    @Slot()
    def _restyle(self) -> None:
        self.updateGeometry()
        self.update()

    def _line(self) -> int:
        return QFontMetrics(self._theme.font(0.9)).height() + 4

    def sizeHint(self) -> QSize:
        return QSize(260, self._line() * len(self._vectors))

    def minimumSizeHint(self) -> QSize:
        return QSize(160, self._line() * len(self._vectors))

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
