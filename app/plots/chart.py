"""The base class of all charts of runs: axes with plain numbers, and a view that shows everything until it is moved."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QEvent, QPointF, Qt, Signal, Slot
from PySide6.QtGui import QFontMetrics, QResizeEvent, QWheelEvent
from PySide6.QtWidgets import QSizePolicy

from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.plots.curve_points import Floats, thinned
from terrarium.app.plots.plot import Plot
from terrarium.app.plots.plot_spec import Heights
from terrarium.models.number_words import with_minus

_TICK = 0.03
"""The height of a tick, as a fraction of the chart."""

_BARE = 6
"""The height in pixels of an x axis without numbers."""

_DECADE = 0.8
"""Below this range of log10, ticks are evenly spaced, as there would be too few powers of ten."""

_GAP = 4
"""The least distance in pixels between names below a chart."""

_DASH = 6
"""The width in pixels of the dash that represents a single point."""


class _View(pg.ViewBox):  # type: ignore[misc]
    """A view in which wheel and drag move the x axis only; over the left axis, they move y."""

    def wheelEvent(self, ev: Any, axis: int | None = None) -> None:
        super().wheelEvent(ev, axis=0 if axis is None else axis)

    def mouseDragEvent(self, ev: Any, axis: int | None = None) -> None:
        super().mouseDragEvent(ev, axis=0 if axis is None else axis)


class Chart(pg.GraphicsView):  # type: ignore[misc]
    """A chart in the theme's style, without frame or menus. Wheel and drag zoom and pan; double-click shows everything.

    The y range fits the visible part until the user moves the left axis.

    Signals:
        window_moved(window): the user moved to another part: (first, last) x, or None for everything.
        pointed(point): the pointer is at this QPointF, in chart coordinates; None when it leaves.

    Args:
        margins: free pixels at the left, top and right of the data.
        below: free pixels below; None for enough to draw the lowest tick label.
        ground: the colour role of what is around it.
    """

    window_moved = Signal(object)
    pointed = Signal(object)

    def __init__(
        self,
        theme: ThemeProvider,
        *,
        x: str = "",
        y: str = "",
        margins: tuple[int, int, int] = (6, 6, 6),
        below: int | None = None,
        ground: str = "surface",
    ) -> None:
        axes = {"left": NumberAxis("left"), "bottom": NumberAxis("bottom")}
        super().__init__()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.enableMouse(False)  # the view has its own
        self._plot = plot = Plot(_View(enableMenu=False), axes)
        self.setCentralItem(plot)
        self._theme, self._margins, self._below, self._ground = theme, margins, below, ground
        self._whole, self._has_scales = ((0.0, 1.0), (0.0, 1.0)), True
        self._window: tuple[float, float] | None = None
        self._heights: Heights = _between(0.0, 1.0)
        self.has_own_height = False
        self._fitted = (0.0, 1.0)
        self._widest = "88,888"
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.NoContextMenu)  # the widget around it has one
        self.scrolls_page = False
        """Whether the wheel scrolls the page around it, and zooms only with Ctrl."""
        self._has_label = bool(y)
        if x:
            plot.setLabel("bottom", x)
        if y:
            plot.setLabel("left", y)
        self.mark_lines, self.mark_ticks = pg.VTickGroup([], [0.0, 1.0]), pg.VTickGroup([], [0.0, _TICK])
        self.cursor_line = pg.InfiniteLine(angle=90, movable=False)
        self.message = pg.TextItem(anchor=(0.5, 0.5))
        self.cursor_line.setZValue(60)
        for item in (self.mark_lines, self.mark_ticks, self.cursor_line, self.message):
            self.addItem(item)
        self.set_marks(())
        self.show_cursor(None)
        self.say("")
        view = plot.getViewBox()
        view.sigRangeChangedManually.connect(self._on_moved)
        view.sigRangeChanged.connect(self._center_message)
        # A member, so that the proxy lives as long as the chart.
        self._mouse = pg.SignalProxy(self.scene().sigMouseMoved, rateLimit=60, slot=self.on_mouse)
        self.restyle()
        theme.theme_changed.connect(self.restyle)

    @Slot()
    def restyle(self) -> None:
        """Apply the theme's colours."""
        theme = self._theme
        self.setBackground(theme.theme.color(self._ground))
        for side in ("left", "bottom"):
            axis = self._plot.getAxis(side)
            axis.setPen(theme.theme.border_strong)
            axis.setTextPen(theme.theme.muted)
            axis.setTickFont(theme.font(0.9))
            axis.setStyle(tickLength=0, tickTextOffset=6)
            axis.label.setFont(theme.font(0.9))
            axis.label.setDefaultTextColor(theme.theme.color("muted"))
        # As wide as the widest number, so that nothing moves when numbers grow.
        width = QFontMetrics(theme.font(0.9)).horizontalAdvance(self._widest)
        self.getPlotItem().getAxis("left").setWidth(width + (2 * self._has_label + 1) * SPACE)
        self.mark_lines.setPen(theme.pen("muted", style=Qt.PenStyle.DashLine))
        self.mark_ticks.setPen(theme.pen("muted"))
        self.cursor_line.setPen(theme.pen("text", alpha=0.6))
        self.message.setColor(theme.theme.muted)
        self.message.setFont(theme.font(0.9))
        self.show_scales(self._has_scales)

    def getPlotItem(self) -> Plot:
        """Return the plot: the view and its axes."""
        return self._plot

    # -- What is shown ----------------------------------------------------------------------------------

    def set_margins(self, left: int, top: int, right: int) -> None:
        """Change the margins."""
        if (left, top, right) == self._margins:
            return
        self._margins = (left, top, right)
        self._fit()

    def set_widest(self, words: str) -> None:
        """Reserve space at the left axis for a text of this width."""
        self._widest = words
        self.restyle()

    def show_range(self, x: tuple[float, float], y: tuple[float, float] | Heights) -> None:
        """Set the full range of the data (in log mode, y is log10); shown unless the user has zoomed in.

        Args:
            y: the range, or a function that returns it for the part between two x.
        """
        self._heights = y if callable(y) else _between(*y)
        self._whole = (x, self._heights(*x))
        self._fit()

    def show_window(self, window: tuple[float, float] | None) -> None:
        """Show the part between two x; None for everything."""
        if window == self._window and not self.has_own_height:
            return
        self._window, self.has_own_height = window, False
        self._fit()

    @Slot()
    def show_whole(self) -> None:
        """Show everything again."""
        self.show_window(None)
        self.window_moved.emit(None)

    @property
    def window(self) -> tuple[float, float] | None:
        """The visible part (first, last) x; None for everything."""
        return self._window

    def show_scales(self, shown: bool) -> None:
        """Show or hide the axes; their space stays reserved."""
        self._has_scales = shown
        for side in ("left", "bottom"):
            self.getPlotItem().getAxis(side).setOpacity(1.0 if shown else 0.0)

    def show_x(self, *, shown: bool) -> None:
        """Show or hide the numbers and the title of the x axis, which a chart below with the same axis can show."""
        axis = self.getPlotItem().getAxis("bottom")
        axis.setStyle(showValues=shown)
        axis.showLabel(shown)
        axis.setHeight(None if shown else _BARE)

    def say(self, words: str) -> None:
        """Show a text in the middle, "" for none."""
        self.message.setText(words)
        self.message.setVisible(bool(words))

    def addItem(self, item: Any) -> None:
        """Draw an item."""
        self._plot.addItem(item)

    def removeItem(self, item: Any) -> None:
        """Remove an item from the chart."""
        self._plot.removeItem(item)

    def curve(self, *, smooth: bool = False) -> Curve:
        """Add a line. `smooth`: antialiased, which is slow for noisy lines."""
        line = Curve(smooth=smooth)
        self.addItem(line)
        return line

    def set_marks(self, lines: Sequence[float], ticks: Sequence[float] = ()) -> None:
        """Mark x values by dashed lines, others by ticks at the bottom."""
        for group, places in ((self.mark_lines, lines), (self.mark_ticks, ticks)):
            group.setXVals(places)
            group.setVisible(bool(places))
            group.update()

    def show_cursor(self, x: float | None) -> None:
        """Draw a line at this x, or none."""
        self.cursor_line.setVisible(x is not None)
        if x is not None:
            self.cursor_line.setValue(x)

    def zoom(self, factor: float, x: float) -> None:
        """Zoom around x, in for factors below 1."""
        self.getPlotItem().getViewBox().scaleBy((factor, 1.0), QPointF(x, 0.0))
        self._on_moved()

    def reveal(self, x: float) -> None:
        """Scroll so that x is visible."""
        if self._window is None or self._window[0] <= x <= self._window[1]:
            return
        first, last = self._window
        by = x - last if x > last else x - first
        self._window = (first + by, last + by)
        self._fit()
        self.window_moved.emit(self._window)

    # -- Moving -----------------------------------------------------------------------------------------

    def mouseDoubleClickEvent(self, event: object) -> None:
        self.show_whole()

    def leaveEvent(self, event: QEvent) -> None:
        super().leaveEvent(event)
        self.pointed.emit(None)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        super().resizeEvent(event)
        if event is not None:  # pyqtgraph calls it without one while it is being made
            self._fit()

    def wheelEvent(self, event: QWheelEvent) -> None:
        if self.scrolls_page and not event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            event.ignore()
        else:
            super().wheelEvent(event)

    def on_mouse(self, args: tuple[QPointF]) -> None:
        view = self.getPlotItem().getViewBox()
        self.pointed.emit(view.mapSceneToView(args[0]) if view.sceneBoundingRect().contains(args[0]) else None)

    @Slot()
    def _on_moved(self) -> None:
        view = self.getPlotItem().getViewBox()
        (left, right), heights = view.viewRange()
        per_pixel = (right - left) / max(view.width(), 1.0)
        first, last = left + self._margins[0] * per_pixel, right - self._margins[2] * per_pixel
        x0, x1 = self._whole[0]
        slack = 1e-6 * (x1 - x0)
        everything = first <= x0 + slack and last >= x1 - slack
        self._window = None if everything else (first, last)
        self.has_own_height = self.has_own_height or not np.allclose(heights, self._fitted, rtol=1e-6, atol=0.0)
        self._fit()
        self.window_moved.emit(self._window)

    def _fit(self) -> None:
        view = self.getPlotItem().getViewBox()
        x0, x1 = self._window or self._whole[0]
        y0, y1 = self._heights(x0, x1)
        left, top, right = self._margins
        # pyqtgraph omits a number that would be cut off at the bottom.
        below = QFontMetrics(self._theme.font(0.9)).height() / 2 + 1 if self._below is None else self._below
        per_x = (x1 - x0) / max(view.width() - left - right, 1.0)
        per_y = (y1 - y0) / max(view.height() - top - below, 1.0)
        bottom = self.getPlotItem().getAxis("bottom")
        bottom.start, bottom.end = self._whole[0][0], x1
        # The space below is for labels, without ticks, unless the user has moved the axis there.
        self.getPlotItem().getAxis("left").start = -math.inf if self.has_own_height else y0
        across, up = (x0 - left * per_x, x1 + right * per_x), (y0 - below * per_y, y1 + top * per_y)
        if self.has_own_height:
            view.setRange(xRange=across, padding=0)
            return
        self._fitted = up
        view.setRange(xRange=across, yRange=up, padding=0)

    @Slot()
    def _center_message(self) -> None:
        (left, right), (low, high) = self.getPlotItem().getViewBox().viewRange()
        self.message.setPos((left + right) / 2, (low + high) / 2)


def _between(low: float, high: float) -> Heights:
    return lambda first, last: (low, high)


class Curve(pg.PlotCurveItem):  # type: ignore[misc]
    """A line that stays fast with 100,000 points, as it is thinned to the pixels without losing peaks.

    Non-finite values are gaps; x that decreases is drawn in full. A single point is drawn as a short dash.
    """

    def __init__(self, *, smooth: bool = False) -> None:
        self._x, self._y, self._is_sorted = np.empty(0), np.empty(0), True
        self._drawn: tuple[float, float, int] | None = None
        super().__init__(antialias=smooth, connect="finite")

    def setData(self, x: Floats | None = None, y: Floats | None = None, **options: Any) -> None:
        """Set the points, each (n,)."""
        if x is None or y is None:
            super().setData(**options)
            return
        self._x, self._y, self._drawn = x, y, None
        self._is_sorted = bool(np.all(x[1:] >= x[:-1]))
        self._draw()

    def viewRangeChanged(self) -> None:
        self._draw()

    def _draw(self) -> None:
        view = self.getViewBox()
        if not isinstance(view, pg.ViewBox):  # not in a view yet: while it is added, the parent is None or the chart
            return
        (left, right), width = view.viewRange()[0], max(int(view.width()), 1)
        if self._drawn == (left, right, width):
            return
        self._drawn = (left, right, width)
        x, y = thinned(self._x, self._y, left, right, width) if self._is_sorted else (self._x, self._y)
        known = np.isfinite(y)
        x, y = (x, y) if known.sum() > 1 else (x[known], y[known])
        if len(x) == 1:  # a line of one point would be invisible
            half = _DASH / 2 * (right - left) / width
            x, y = x + np.array([-half, half]), np.repeat(y, 2)
        self.updateData(x, y)


class NumberAxis(pg.AxisItem):  # type: ignore[misc]
    """An axis with plain numbers, 1,000 and 0.003, never 1e+03 or “k”, and only as many as fit."""

    _words = ""

    def __init__(self, side: str) -> None:
        super().__init__(side)
        self.start, self.end = -math.inf, math.inf
        """The limits of the ticks; outside them is space for labels only."""
        self.names: Sequence[tuple[float, str]] = ()
        """Ticks with names (value, label), instead of those at round numbers."""
        self._lies = side == "bottom"
        self.enableAutoSIPrefix(False)

    def _updateLabel(self) -> None:
        """Set the text only if it has changed; the base class does so whenever the view moves."""
        words = self.labelString()
        if words != self._words:
            self._words = words
            self.label.setHtml(words)
        self._adjustSize()
        self.picture = None
        self.update()

    def tickValues(self, low: float, high: float, size: float) -> list[tuple[float | None, list[float]]]:
        if self.names:
            return [(None, self._named_ticks(low, high, size))]
        if self.logMode:
            return [(None, _log_ticks(low, high))]
        low = max(low, self.start - 1e-9 * abs(high - self.start))
        levels: list[tuple[float | None, list[float]]] = super().tickValues(low, min(high, self.end), size)
        if not levels or high <= low:
            return levels
        spacing, values = levels[0]
        assert spacing is not None
        metrics = QFontMetrics(self.style["tickFont"] or self.font())
        words = self.tickStrings(values, 1.0, spacing)
        widest = max((metrics.horizontalAdvance(word) for word in words), default=0)
        room = widest + 2 * SPACE if self._lies else 1.3 * metrics.height()
        while len(values) > 2 and spacing / (high - low) * size < room:
            spacing *= 2
            values = [value for value in values if round(value / spacing * 2) % 2 == 0]
        if not self._lies and len(values) == 2 and spacing / (high - low) * size < metrics.height():
            values = values[1:]  # two labels would overlap; the upper one is more informative
        return [(spacing, values)]

    def _named_ticks(self, low: float, high: float, size: float) -> list[float]:
        """Return the named values in view: on the left axis only as many as there is room for."""
        inside = [value for value, _ in self.names if low <= value <= high]
        metrics = QFontMetrics(self.style["tickFont"] or self.font())
        every = 1 if self._lies else math.ceil(len(inside) * 0.9 * metrics.height() / max(size, 1.0))
        return inside[:: max(every, 1)]

    def tickStrings(self, values: list[float], scale: float, spacing: float | None) -> list[str]:
        if self.names:
            return self._named_strings(values)
        if self.logMode:
            return [format(10**value, ",.0f" if value >= 2 else ".4g") for value in values]
        assert spacing is not None
        digits = 0 if spacing >= 1 else math.ceil(-math.log10(spacing) - 1e-9)
        form = f",.{digits}f" if digits < 6 else ".1g"
        return [with_minus(format(value, form)) if abs(value) > 1e-9 * spacing else "0" for value in values]

    def _named_strings(self, values: list[float]) -> list[str]:
        """Return the names of ticks; on the bottom axis elided to the distance between them."""
        names = dict(self.names)
        words = [names[value] for value in values]
        if not self._lies or len(values) < 2:
            return words
        (left, right), metrics = self.range, QFontMetrics(self.style["tickFont"] or self.font())
        per_x = self.size().width() / max(right - left, 1e-12)
        room = int(min(abs(b - a) for a, b in itertools.pairwise(values)) * per_x) - _GAP
        return [metrics.elidedText(each, Qt.TextElideMode.ElideMiddle, max(room, 0)) for each in words]


def _log_ticks(low: float, high: float) -> list[float]:
    """Return ticks as log10: powers of ten, with factors 2 and 5 if few, or evenly spaced within a decade."""
    if high - low < _DECADE:
        step = _round_step((10**high - 10**low) / 5)
        evenly = np.arange(math.ceil(10**low / step), math.floor(10**high / step) + 1) * step
        return [float(tick) for tick in np.log10(evenly[evenly > 0])]
    factors = (1, 2, 5) if high - low < 2.5 else (1,)
    ticks = (power + math.log10(factor) for power in range(math.floor(low), math.ceil(high)) for factor in factors)
    return [tick for tick in ticks if low <= tick <= high]


def _round_step(least: float) -> float:
    """Return the smallest of … 0.1, 0.2, 0.5, 1, 2, 5, 10 … that is at least `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least * (1 - 1e-9))
