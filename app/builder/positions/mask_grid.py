"""A widget for an attention mask as a grid of cells: queries are rows, keys are columns."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QBrush, QColor, QImage, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from terrarium.app.builder.positions.masks import Grid
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.plots.figure import Figure

_GAP_FROM = 6
"""The minimum size in pixels of cells with gaps between them."""
_CALM, _WEAKEST = 0.6, 0.08
"""Opacity factors of visible cells: outside the row under the pointer; if the penalty leaves no weight."""


class MaskGrid(Figure):
    """Shows a Grid, with the row of the selected cell highlighted."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(theme, parent)
        self._grid: Grid | None = None
        self.setMinimumSize(120, 140)
        policy = self.sizePolicy()
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    @property
    def grid(self) -> Grid | None:
        """The mask shown, None before the first."""
        return self._grid

    def set_grid(self, grid: Grid) -> None:
        """Show another mask."""
        self._grid = grid
        self.set_spot(None)
        self.setAccessibleName(f"{grid.title}: {grid.summary}. Arrow keys read it.")
        self.update()

    def heightForWidth(self, width: int) -> int:
        left, top = self._margins()
        return round(width - left + top)

    # -- Reading -------------------------------------------------------------------------------------------------------

    def _shape(self) -> tuple[int, int]:
        n = len(self._grid.share) if self._grid is not None else 0
        return n, n

    def _words(self, spot: tuple[int, int]) -> str:
        assert self._grid is not None
        return self._grid.describe(spot[1], spot[0])

    def spot_at(self, point: QPointF) -> tuple[int, int] | None:
        area = self.area
        n = self._shape()[0]
        if not n or not area.contains(point):
            return None
        cell = area.width() / n
        return min(int((point.x() - area.left()) / cell), n - 1), min(int((point.y() - area.top()) / cell), n - 1)

    # -- Painting ------------------------------------------------------------------------------------------------------

    @property
    def area(self) -> QRectF:
        """The square of the cells. A cell is an integral number of pixels wide if there is space for at least one."""
        n = max(self._shape()[0], 1)
        left, top = self._margins()
        size = max(min(self.width() - left - 2, self.height() - top - 2), n / 2)
        if size >= n:
            size = int(size / n) * n
        return QRectF(int(left), int(top), size, size)

    def _margins(self) -> tuple[float, float]:
        """Return the space for titles and numbers on the left and at the top."""
        metrics = self._metrics()
        left = metrics.height() + 1.5 * SPACE + metrics.horizontalAdvance(self._last_number())
        return left, self.fontMetrics().height() + 2 * metrics.height() + SPACE

    def _last_number(self) -> str:
        return f"{self._grid.edges[-1] - 1:,}" if self._grid is not None else "0"

    def cell_rect(self, column: int, row: int) -> QRectF:
        """Return the rectangle of a cell, including its gap."""
        area, n = self.area, self._shape()[0]
        cell = area.width() / n
        return QRectF(area.left() + column * cell, area.top() + row * cell, cell, cell)

    def paintEvent(self, event: QPaintEvent) -> None:
        grid = self._grid
        if grid is None:
            return
        painter = QPainter(self)
        self._draw_cells(painter, grid)
        self._draw_words(painter, grid)
        if self._shows_focus:
            painter.setPen(QPen(self._theme.theme.color("accent"), 1))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(self.area.adjusted(-2, -2, 1, 1))

    def _draw_cells(self, painter: QPainter, grid: Grid) -> None:
        colors, area, n = self._theme.theme, self.area, len(grid.share)
        cell = area.width() / n
        gap = 1 if cell >= _GAP_FROM else 0
        painter.drawImage(area, self._image(grid))
        if gap:
            painter.setPen(QPen(colors.color("surface"), 1))
            for i in range(1, n + 1):
                at = i * cell - 0.5
                painter.drawLine(QPointF(area.left() + at, area.top()), QPointF(area.left() + at, area.bottom()))
                painter.drawLine(QPointF(area.left(), area.top() + at), QPointF(area.right(), area.top() + at))
        self._hatch_padding(painter, grid, area, cell)
        if self.spot is not None:
            painter.setPen(QPen(colors.color("text"), 1.5))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(self.cell_rect(*self.spot).adjusted(0, 0, -gap, -gap))

    def _image(self, grid: Grid) -> QImage:
        """Return an image with a pixel per cell: the visible fraction, stronger in the selected row."""
        shown = grid.share if grid.strength is None else grid.share * (_WEAKEST + (1 - _WEAKEST) * grid.strength)
        strength = np.where(grid.share > 0, _CALM * shown, 0.0)
        if self.spot is not None:
            strength[self.spot[1]] = shown[self.spot[1]]
        ground, seen = (_rgb(self._theme.theme.color(role)) for role in ("sunken", "accent"))
        mixed = ground + (seen - ground) * strength[..., None]
        pixels = np.zeros((*grid.share.shape, 4), np.uint8)
        pixels[..., :3] = (mixed[..., ::-1] + 0.5).astype(np.uint8)  # QImage stores blue first
        n = len(grid.share)
        return QImage(pixels.data, n, n, 4 * n, QImage.Format.Format_RGB32).copy()

    def _hatch_padding(self, painter: QPainter, grid: Grid, area: QRectF, cell: float) -> None:
        first = int(np.searchsorted(grid.edges[:-1], grid.n_real))
        if first >= len(grid.share):
            return
        brush = QBrush(self._theme.theme.color("text", 0.4), Qt.BrushStyle.BDiagPattern)
        painter.fillRect(
            QRectF(area.left() + first * cell, area.top(), area.right() - area.left() - first * cell, area.height()),
            brush,
        )

    def _draw_words(self, painter: QPainter, grid: Grid) -> None:
        colors, area, metrics = self._theme.theme, self.area, self._metrics()
        align = Qt.AlignmentFlag
        painter.setFont(self._theme.font(bold=True))
        painter.setPen(colors.color("text"))
        head = QRectF(area.left(), 0, self.width() - area.left(), self.fontMetrics().height())
        painter.drawText(head, align.AlignLeft | align.AlignVCenter, grid.title)
        painter.setFont(self._theme.font(0.9))
        painter.setPen(colors.color("muted"))
        line = metrics.height()
        over = QRectF(area.left(), head.bottom() + SPACE / 4, area.width(), line)
        painter.drawText(over, align.AlignCenter, grid.columns)
        painter.save()
        painter.translate(0, area.bottom())
        painter.rotate(-90)
        painter.drawText(QRectF(0, 0, area.height(), line), align.AlignCenter, grid.rows)
        painter.restore()
        for block in self._numbered(grid):
            words = f"{grid.edges[block]:,}"
            half = metrics.horizontalAdvance(words) / 2 + 1
            cell = self.cell_rect(block, block)
            is_read = self.spot is not None and block == self.spot[0]
            painter.setPen(colors.color("text" if is_read else "muted"))
            above = QRectF(cell.center().x() - half, area.top() - line - 1, 2 * half, line)
            painter.drawText(above, align.AlignCenter, words)
            is_read = self.spot is not None and block == self.spot[1]
            painter.setPen(colors.color("text" if is_read else "muted"))
            before = QRectF(0, cell.center().y() - line / 2, area.left() - SPACE / 2, line)
            painter.drawText(before, align.AlignRight | align.AlignVCenter, words)

    def _numbered(self, grid: Grid) -> list[int]:
        """Return the blocks labelled with their first token's number: all if they fit, else every second, fourth …"""
        n, cell = len(grid.share), self.area.width() / len(grid.share)
        wide = self._metrics().horizontalAdvance(self._last_number()) + SPACE
        for step in (1, 2, 4, 5, 8, 10, 16, 20, 32, 64):
            if step * cell >= wide:
                return list(range(0, n, step))
        return [0]


def _rgb(color: QColor) -> np.ndarray:
    return np.array([color.red(), color.green(), color.blue()], np.float64)
