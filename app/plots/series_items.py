"""The graphics items of a chart: series, bands, arrows, the names of points, and a read-out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QBrush, QColor, QPainter, QPolygonF
from PySide6.QtWidgets import QStyleOptionGraphicsItem, QWidget

from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.plots.chart import Chart, Curve
from terrarium.app.plots.curve_points import Floats, thinned
from terrarium.app.plots.plot_spec import NONE, Band, Series

LINE_STYLES = MappingProxyType(
    {
        "solid": (Qt.PenStyle.SolidLine, "──"),
        "dashed": (Qt.PenStyle.DashLine, "╌╌"),
        "dotted": (Qt.PenStyle.DotLine, "···"),
        "dash-dotted": (Qt.PenStyle.DashDotLine, "–·–"),
    }
)
"""Line styles: the pen style and the sample in a legend."""
_FILLS = MappingProxyType(
    {
        "solid": (Qt.BrushStyle.SolidPattern, "■"),
        "dashed": (Qt.BrushStyle.BDiagPattern, "▨"),
        "dotted": (Qt.BrushStyle.Dense6Pattern, "▒"),
        "dash-dotted": (Qt.BrushStyle.DiagCrossPattern, "▩"),
    }
)
"""The same styles for bars: the pattern that fills them, and the sample in a legend."""
_APART = 3
"""Width in pixels of the columns to which crowded dots are thinned."""
_STAR = 19
"""The size of a star in pixels."""
_NO_RIM = 6
"""Dots up to this size have no rim: it would cover them."""
_ABOVE = MappingProxyType({"bars": -0.2, "intervals": -0.1, "line": 0.0, "dots": 0.1, "star": 0.2})
"""How far each part of a series is above its line, as a Z value."""
_LABELS = 0.3
_HEAD, _RADIUS = 8.0, 4.0
"""Pixels: the length of an arrow's head, and the radius of a point, which it leaves free."""


class Dots(pg.ScatterPlotItem):  # type: ignore[misc]
    """Dots; of those that would overlap, only the lowest and the highest are drawn. x must not decrease for that."""

    def __init__(self) -> None:
        self._x = self._y = NONE
        self._drawn: tuple[float, float, int] | None = None
        super().__init__(antialias=True)

    def show(self, x: Floats, y: Floats) -> None:
        """Draw the finite points (n,)."""
        known = np.isfinite(x) & np.isfinite(y)
        self._x, self._y, self._drawn = x[known], y[known], None
        self._draw()

    def viewRangeChanged(self) -> None:
        if self._drawn is not None and len(self._x) > self._drawn[2]:
            self._draw()

    def _draw(self) -> None:
        x, y, view = self._x, self._y, self.getViewBox()
        left, right, most = 0.0, 0.0, len(x)
        if isinstance(view, pg.ViewBox):
            most = max(int(view.width()) // _APART, 1)
            left, right = view.viewRange()[0]
            if self._drawn == (left, right, most):
                return
            if len(x) > 2 * most and bool(np.all(np.diff(x) >= 0)):
                x, y = thinned(x, y, left, right, most)
        self._drawn = (left, right, 2 * most)
        self.setData(x=x, y=y)


class SeriesItems:
    """Draws one series after another with the same items, so that a live chart can be redrawn ten times a second.

    Args:
        z: the Z value of its line; dots and stars are above, bars and intervals below.
    """

    def __init__(self, chart: Chart, theme: ThemeProvider, z: float) -> None:
        self._chart, self._theme, self._z = chart, theme, z
        self.series = Series(x=NONE, y=NONE)
        self._parts: dict[str, Any] = {}
        self.labels: dict[int, pg.TextItem] = {}
        """The names beside points, by the index of the point."""

    @property
    def line(self) -> Curve:
        """The line; there must be one."""
        line: Curve = self._parts["line"]
        return line

    @property
    def dots(self) -> Dots:
        """The dots; there must be some."""
        dots: Dots = self._parts["dots"]
        return dots

    @property
    def star(self) -> pg.ScatterPlotItem:
        """The star; there must be one."""
        return self._parts["star"]

    def show(self, series: Series, points: Sequence[Floats | None]) -> None:
        """Draw a series.

        Args:
            points: x, y, low, high, x_low and x_high in chart coordinates: log10 of those of the series on a
                logarithmic axis.
        """
        before, self.series = self.series, series
        n_parts = len(self._parts)
        x, y, *ends = points
        assert x is not None
        assert y is not None
        kind, known = series.kind, np.isfinite(y)
        drawn = (x, y) if known.any() else (NONE, NONE)
        if line := self._part("line", kind in ("line", "joined"), lambda: Curve(smooth=_is_smooth(series))):
            line.setData(*drawn)
        if dots := self._part("dots", kind in ("dots", "joined"), Dots):
            dots.show(*drawn)
        if bars := self._part("bars", kind == "bars", lambda: pg.BarGraphItem(x=NONE, height=NONE, width=1)):
            bars.setOpts(x=x[known], height=y[known], width=series.wide)
        has_ends = any(end is not None for end in ends)
        if intervals := self._part("intervals", has_ends, lambda: pg.ErrorBarItem(x=NONE, y=NONE, beam=0.0)):
            intervals.setData(**_error_bars(x, y, ends))
        if star := self._part("star", series.star is not None, lambda: pg.ScatterPlotItem(symbol="star", size=_STAR)):
            at = [i for i in (series.star,) if i is not None]
            star.setData(x=x[at], y=y[at])
        if series.labels is not before.labels:
            for item in self.labels.values():
                self._chart.removeItem(item)
            self.labels = {i: self._add(pg.TextItem(words), _LABELS) for i, words in enumerate(series.labels) if words}
        if _look(series) != _look(before) or len(self._parts) != n_parts or self.labels:
            self.restyle()

    def restyle(self) -> None:
        """Take the colours of the theme, and those of the series."""
        theme, each, colour = self._theme, self.series, self.colour()
        faded = QColor(colour)
        faded.setAlphaF(each.alpha)
        parts = self._parts
        if "line" in parts:
            self.line.setPen(pg.mkPen(faded, width=each.width, style=LINE_STYLES[each.style][0]))
            self.line.setFillLevel(0.0 if each.is_filled else None)
            self.line.setBrush(colour if each.is_filled else None)
        if "dots" in parts:
            self.dots.setSymbol(each.symbol)
            self.dots.setSize(each.size)
            has_rim = each.symbol != "x" and each.size > _NO_RIM
            self.dots.setPen(theme.pen("surface") if has_rim else pg.mkPen(colour))
            self.dots.setBrush(colour)
        if "bars" in parts:
            is_solid = each.style == "solid"
            parts["bars"].setOpts(brush=QBrush(faded, _FILLS[each.style][0]), pen=None if is_solid else pg.mkPen(faded))
        if "intervals" in parts:
            parts["intervals"].setOpts(pen=pg.mkPen(faded, width=1.2))
        if "star" in parts:
            self.star.setPen(theme.pen("surface"))
            self.star.setBrush(theme.theme.text)
        for item in self.labels.values():
            item.setColor(theme.theme.text)
            item.setFont(theme.font(0.9))

    def colour(self) -> QColor:
        """Return the colour of the series in the current theme."""
        role, colors = self.series.role, self._theme.theme
        return QColor(colors.categories[role % len(colors.categories)]) if isinstance(role, int) else colors.color(role)

    def remove(self) -> None:
        """Remove all items from the chart."""
        for item in (*self._parts.values(), *self.labels.values()):
            self._chart.removeItem(item)

    def _part(self, name: str, is_wanted: bool, make: Callable[[], Any]) -> Any:
        """Return an item by its name in _ABOVE: make it when it is first wanted, remove it when it no longer is."""
        if is_wanted and name not in self._parts:
            self._parts[name] = self._add(make(), _ABOVE[name])
        elif not is_wanted and name in self._parts:
            self._chart.removeItem(self._parts.pop(name))
        return self._parts.get(name)

    def _add(self, item: Any, above: float) -> Any:
        item.setZValue(self._z + above)
        self._chart.addItem(item)
        return item


def _look(series: Series) -> tuple[object, ...]:
    """Return all on which the pens and brushes of a series depend."""
    return (
        series.kind,
        series.role,
        series.style,
        series.width,
        series.alpha,
        series.symbol,
        series.size,
        series.is_filled,
    )


def sample_of(series: Series) -> str:
    """Return what stands for a series in a legend."""
    if series.kind == "dots":
        return "✕" if series.symbol == "x" else "●"
    return (_FILLS if series.kind == "bars" else LINE_STYLES)[series.style][1]


def _is_smooth(series: Series) -> bool:
    """Return whether a line is antialiased, which is slow for noisy lines."""
    return series.kind == "joined" or series.width > 1


def _error_bars(x: Floats, y: Floats, ends: Sequence[Floats | None]) -> dict[str, Floats]:
    """Return the arguments of an ErrorBarItem, without points whose interval is unknown.

    Args:
        ends: low, high, x_low and x_high.
    """
    every = [x, y, *(at if end is None else end for end, at in zip(ends, (y, y, x, x), strict=True))]
    known = np.logical_and.reduce([np.isfinite(each) for each in every])
    x, y, low, high, x_low, x_high = (each[known] for each in every)
    return {"x": x, "y": y, "top": high - y, "bottom": y - low, "left": x - x_low, "right": x_high - x}


class BandItem:
    """A shaded range across a chart, behind everything else."""

    def __init__(self, chart: Chart, theme: ThemeProvider, band: Band) -> None:
        self._theme, self.band = theme, band
        self.region = pg.LinearRegionItem(orientation="vertical" if band.is_vertical else "horizontal", movable=False)
        self.region.setZValue(-20)
        chart.addItem(self.region)

    def show(self, band: Band, ends: Floats) -> None:
        """Move to another range. ends: low and high, (2,), in chart coordinates."""
        self.band = band
        self.region.setRegion(ends.tolist())

    def restyle(self) -> None:
        """Take the theme's colours."""
        self.region.setBrush(self._theme.theme.color(self.band.role, self.band.alpha))
        for line in self.region.lines:
            line.setPen(pg.mkPen(None))


class ReadOutBox(pg.TextItem):  # type: ignore[misc]
    """The read-out of a place as a small box beside it, on the side with more space."""

    def __init__(self) -> None:
        super().__init__(anchor=(0, 0))
        self.setZValue(100)
        self.hide()

    def show_words(self, words: str, x: float, y: float) -> None:
        """Show words beside a point in chart coordinates; hide the box for ""."""
        self.setVisible(bool(words))
        if not words:
            return
        (left, right), (low, high) = self.getViewBox().viewRange()
        is_right, is_high = x > (left + right) / 2, y > (low + high) / 2
        self.setText(words)
        self.setAnchor((1.04 if is_right else -0.04, -0.15 if is_high else 1.15))
        self.setPos(x, min(max(y, low), high))

    def restyle(self, theme: ThemeProvider) -> None:
        """Take the theme's colours."""
        self.setColor(theme.theme.text)
        self.setFont(theme.font(0.9))
        self.fill = pg.mkBrush(theme.theme.color("raised", 0.96))
        self.border = theme.pen("border_strong")


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
