"""Arrows between the points of a chart, and names beside them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QPointF, QRectF
from PySide6.QtGui import QPainter, QPolygonF
from PySide6.QtWidgets import QStyleOptionGraphicsItem, QWidget

from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.plots.curve_points import Floats
from terrarium.app.plots.series_items import SeriesItems

_HEAD, _RADIUS = 8.0, 4.0
"""Pixels: the length of an arrow's head, and the radius of a point, which it leaves free."""


class Arrows(pg.GraphicsObject):  # type: ignore[misc]
    """Arrows from point to point, whose heads have the same size in pixels whatever the zoom."""

    def __init__(self, theme: ThemeProvider) -> None:
        super().__init__()
        self._theme = theme
        self._ends: Sequence[tuple[QPointF, QPointF]] = ()

    def show(self, ends: Sequence[tuple[QPointF, QPointF]]) -> None:
        """Draw arrows between these points, in chart coordinates."""
        self._ends = tuple(ends)
        self.update()

    def viewRangeChanged(self) -> None:
        self.prepareGeometryChange()

    def boundingRect(self) -> QRectF:
        seen: QRectF | None = self.viewRect()
        return QRectF() if seen is None else seen

    def paint(self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None) -> None:
        to_pixels = painter.transform()
        painter.resetTransform()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(self._theme.pen("muted", width=1.2))
        painter.setBrush(self._theme.theme.color("muted"))
        for first, last in self._ends:
            self._draw(painter, to_pixels.map(first), to_pixels.map(last))
        painter.setTransform(to_pixels)

    def _draw(self, painter: QPainter, first: QPointF, last: QPointF) -> None:
        way = math.hypot(last.x() - first.x(), last.y() - first.y())
        if way < 4 * _HEAD:
            return  # its head would hide both points
        step = (last - first) / way
        tip, across = last - step * 2 * _RADIUS, QPointF(-step.y(), step.x()) * _HEAD / 2
        painter.drawLine(first + step * 2 * _RADIUS, tip)
        painter.drawPolygon(QPolygonF([tip, tip - step * _HEAD + across, tip - step * _HEAD - across]))


def place_names(view: pg.ViewBox, items: Sequence[SeriesItems], points: Sequence[tuple[Floats, Floats]]) -> None:
    """Place the names of points where they can be read: above bars, and beside other points.

    Args:
        points: x and y (n,) of each series, in chart coordinates.
    """
    beside = list[tuple[pg.TextItem, QPointF]]()
    for item, (x, y) in zip(items, points, strict=True):
        named = [(name, QPointF(x[i], y[i])) for i, name in item.labels.items()]
        if item.series.kind == "bars":
            _place_above(view, named, item.series.wide)
        else:
            beside += named
    if beside:
        _place_beside(view, beside, *(np.concatenate(each) for each in zip(*points, strict=True)))


def _place_beside(view: pg.ViewBox, named: Sequence[tuple[pg.TextItem, QPointF]], x: Floats, y: Floats) -> None:
    """Place each name beside its point, if possible where it covers no other name or point. x, y: all points."""
    across, up = view.viewPixelSize()
    (left, right), (low, high) = view.viewRange()
    area = QRectF(0, 0, (right - left) / across, (high - low) / up).adjusted(-2, -SPACE, 2, 2)
    places = zip((x - left) / across, (high - y) / up, strict=True)  # in pixels from the upper left corner
    taken = [QRectF(over - 6, down - 6, 12, 12) for over, down in places]
    for name, point in named:
        place = QPointF((point.x() - left) / across, (high - point.y()) / up)
        bounds = name.boundingRect()
        boxes = [QRectF(corner, bounds.size()) for corner in _corners(place, bounds.width(), bounds.height())]
        inside = [box for box in boxes if area.contains(box)] or boxes[:1]
        own = QRectF(place.x() - 6, place.y() - 6, 12, 12)
        others = [box for box in taken if box != own]
        best = next((box for box in inside if not any(box.intersects(other) for other in others)), inside[0])
        taken.append(best)
        name.setPos(left + best.left() * across, high - best.top() * up)


def _place_above(view: pg.ViewBox, named: Sequence[tuple[pg.TextItem, QPointF]], wide: float) -> None:
    """Place the number of each bar above it, where the bar is wide enough. wide: of a bar, in x."""
    room = wide / view.viewPixelSize()[0]
    for name, point in named:
        name.setAnchor((0.5, 0.85))
        name.setVisible(name.boundingRect().width() <= room + 8)
        name.setPos(point)


def _corners(place: QPointF, width: float, height: float) -> Iterator[QPointF]:
    """Yield where the upper left corner of a name may be: above, below and beside its point, right before left."""
    for dy in (-height - 2, 4, -height / 2, -2 * height - 4, height + 4):
        yield QPointF(place.x() + 10, place.y() + dy)
        yield QPointF(place.x() - 10 - width, place.y() + dy)
