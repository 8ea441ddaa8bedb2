"""Many lines as one thing in a chart: of 200 of them, half the time went into asking each where it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import QRectF
from PySide6.QtGui import QPainter, QPainterPath, QPen
from PySide6.QtWidgets import QStyleOptionGraphicsItem, QWidget


@dataclass(frozen=True, eq=False)
class BundledLine:
    """A path in the chart's own coordinates, and how it is drawn."""

    path: QPainterPath
    pen: QPen
    is_fine: bool


def path_of(x: NDArray[np.float64], y: NDArray[np.float64]) -> QPainterPath:
    """The path through points (n,); what is not finite is a gap."""
    path: QPainterPath = pg.arrayToQPath(x, y, connect="finite")
    return path


class LineBundle(pg.GraphicsObject):  # type: ignore[misc]
    """Draws lines, the last ones on top. Its pens are cosmetic: as wide on screen however close one looks."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: Sequence[BundledLine] = ()

    def set_lines(self, lines: Sequence[BundledLine]) -> None:
        """Draw other lines."""
        self._lines = tuple(lines)
        self.update()

    def viewRangeChanged(self) -> None:
        self.prepareGeometryChange()

    def boundingRect(self) -> QRectF:
        seen: QRectF | None = self.viewRect()
        return QRectF() if seen is None else seen

    def paint(self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None) -> None:
        for line in self._lines:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing, line.is_fine)
            painter.setPen(line.pen)
            painter.drawPath(line.path)
