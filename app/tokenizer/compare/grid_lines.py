"""Breaks the grid of a text into lines, and maps positions to columns. No drawing."""

from __future__ import annotations

import math

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtGui import QTextLayout, QTextOption

from terrarium.app.kit.tokens.pill_layout import PillLayout
from terrarium.app.tokenizer.compare.text_grid import TextGrid


class GridLine:
    """The clusters `start` to `end` on one line.

    Attributes:
        left: the first column of each cluster, in visual order.
    """

    def __init__(self, grid: TextGrid, start: int, end: int) -> None:
        self.start, self.end = start, end
        self.columns = grid.columns[start:end]
        self._is_straight = not grid.is_rtl[start:end].any()
        order = np.arange(end - start) if self._is_straight else _visual_order(grid, start, end)
        self.left = np.zeros(end - start, np.int64)
        self.left[order] = np.cumsum(self.columns[order]) - self.columns[order]

    @property
    def width(self) -> int:
        """The width in columns."""
        return int(self.columns.sum())

    def column_of(self, position: float) -> float:
        """Return the column of a position within this line (left-to-right text only)."""
        i = min(int(position) - self.start, len(self.left) - 1)
        return float(self.left[i] + (position - self.start - i) * self.columns[i])

    def spans(self, start: float, end: float) -> list[tuple[float, float]]:
        """Return the column ranges between two positions within this line; several in bidirectional text."""
        start, end = max(start, self.start), min(end, self.end)
        if start > end or not len(self.left):
            return []
        if self._is_straight or start == end:
            return [(self.column_of(start), self.column_of(end))]
        found: list[tuple[float, float]] = []
        for i in range(int(start), math.ceil(end)):
            left, width = float(self.left[i - self.start]), int(self.columns[i - self.start])
            found.append((left + max(start - i, 0) * width, left + min(end - i, 1) * width))
        found.sort()
        joined = found[:1]
        for left, right in found[1:]:
            if left <= joined[-1][1]:
                joined[-1] = joined[-1][0], max(right, joined[-1][1])
            else:
                joined.append((left, right))
        return joined

    def cluster_at(self, column: float) -> int | None:
        """Return the cluster in a column, None outside the text."""
        inside = np.flatnonzero((self.left <= column) & (column < self.left + self.columns))
        return self.start + int(inside[0]) if len(inside) else None


class GridLines:
    """The lines of a grid with at most `available` columns; consecutive line breaks end a single line."""

    def __init__(self, grid: TextGrid, available: int) -> None:
        self._grid = grid
        another = np.append(grid.ends_line[1:], [False])[: len(grid)]
        self._layout = PillLayout(grid.columns, grid.ends_line & ~another, available)
        self._made: dict[int, GridLine] = {}

    def __len__(self) -> int:
        return self._layout.n_rows if len(self._grid) else 0

    def __getitem__(self, number: int) -> GridLine:
        if number not in self._made:
            clusters = self._layout.pills_in(number)
            self._made[number] = GridLine(self._grid, clusters.start, clusters.stop)
        return self._made[number]

    def line_of(self, position: float) -> int:
        """Return the line of a position."""
        return self._layout.row_of(min(int(position), len(self._grid) - 1))


def _visual_order(grid: TextGrid, start: int, end: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the clusters of a line from left to right, as laid out by Qt (Unicode bidirectional algorithm)."""
    firsts = [grid.cluster(i)[0] for i in range(start, end)]
    firsts = [first if first.isprintable() else " " for first in firsts]
    layout = QTextLayout("".join(firsts))
    option = QTextOption()
    option.setTextDirection(Qt.LayoutDirection.LeftToRight)
    option.setWrapMode(QTextOption.WrapMode.NoWrap)
    layout.setTextOption(option)
    layout.beginLayout()
    layout.createLine()
    layout.endLayout()
    lefts: list[float] = []
    at = 0
    for first in firsts:
        size = 1 + (ord(first) > 0xFFFF)  # UTF-16 code units
        glyphs = [point.x() for run in layout.glyphRuns(at, size) for point in run.positions()]
        lefts.append(min(glyphs, default=lefts[-1] if lefts else 0.0))
        at += size
    return np.argsort(lefts, kind="stable")
