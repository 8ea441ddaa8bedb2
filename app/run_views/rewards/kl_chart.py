"""A chart of reward against KL to the parent: a dot for each evaluation point, joined in order of the steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QPointF, QSize, Qt, Signal, Slot
from PySide6.QtGui import QFontMetrics, QKeyEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from terrarium.app.kit.basics import label, plain_tip
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.plots.chart import Chart
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.models.alignment.overoptimisation import Floats

_NEAR = 24
"""Pixels within which the pointer finds a dot."""
_KEYS = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}
_STYLES = {
    "solid": (Qt.PenStyle.SolidLine, "──"),
    "dashed": (Qt.PenStyle.DashLine, "╌╌"),
    "dotted": (Qt.PenStyle.DotLine, "···"),
    "dash-dotted": (Qt.PenStyle.DashDotLine, "–·–"),
}
"""Line styles: the pen style and the sample in the legend."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Line:
    """A curve for comparison. kl, value: (n,). tip: its explanation. role: its colour. style: a key of _STYLES."""

    name: str
    tip: str
    kl: Floats
    value: Floats
    role: str
    style: str = "solid"
    has_dots: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Dots:
    """The evaluation points, in order of the steps.

    kl, value: (n,). low, high: (n,), the ends of confidence intervals, NaN if unknown. words: a description of each.
    peak: the index of the point marked with a star.
    """

    kl: Floats
    value: Floats
    low: Floats
    high: Floats
    words: Sequence[str]
    peak: int | None = None


_NONE = np.empty(0)
NO_DOTS = Dots(kl=_NONE, value=_NONE, low=_NONE, high=_NONE, words=())


class KlChart(QWidget):
    """One quantity against √KL or KL.

    Signals:
        point_hovered(i): the pointer or the arrow keys have moved to this dot; None: to no dot.
        point_clicked(i): the user clicked a dot or pressed Return on it.
    """

    point_hovered = Signal(object)
    point_clicked = Signal(int)

    def __init__(self, theme: ThemeProvider, title: str, tip: str, role: str, *, has_x: bool) -> None:
        super().__init__()
        self._theme, self._role, self._has_x = theme, role, has_x
        self.title, self.unit, self.read_out = label(title, "subheading"), label("", "caption"), ElidedLabel()
        self.title.setToolTip(plain_tip(tip))
        self.read_out.setProperty("role", "small")
        self.read_out.alignment = Qt.AlignmentFlag.AlignRight
        self.chart = Chart(theme, x=" " if has_x else "")
        self.chart.setMinimumHeight(72)
        self.chart.show_x(shown=has_x)
        self.chart.setAccessibleName(title)
        self.dots = NO_DOTS
        self.lines: tuple[Line, ...] = ()
        self.is_root, self.scale = True, 1.0
        self.index: int | None = None
        self._path = pg.PlotDataItem(antialias=True, symbol="o", symbolSize=8, connect="finite")
        self._bars = pg.ErrorBarItem(x=_NONE, y=_NONE, top=_NONE, bottom=_NONE, beam=0.0)
        self._star = pg.ScatterPlotItem(symbol="star", size=19)
        self._ring = pg.ScatterPlotItem(symbol="o", size=15, brush=None)
        self._price = pg.InfiniteLine(angle=90, movable=False)
        self.price_name = pg.TextItem(anchor=(0, 0))
        self._others: list[pg.PlotDataItem] = []
        for z, item in enumerate((self._price, self._bars, self._path, self._star, self._ring, self.price_name)):
            item.setZValue(z + 2)
            self.chart.addItem(item)
        self._kl_of_price, self._price_words = math.nan, ""
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setAccessibleName(f"{title} against KL. Left and right go from dot to dot, Return shows its replies.")
        self.legend = QHBoxLayout()
        self.legend.setSpacing(2 * SPACE)
        self._names: list[QLabel] = []
        head = QHBoxLayout()
        head.setSpacing(SPACE)
        for widget in (self.title, self.unit):
            head.addWidget(widget)
        head.addSpacing(SPACE)
        head.addLayout(self.legend)
        head.addWidget(self.read_out, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(SPACE // 2)
        layout.addLayout(head)
        layout.addWidget(self.chart, 1)
        self.chart.pointed.connect(self._on_pointed)
        self.chart.scene().sigMouseClicked.connect(self._on_clicked)
        view = self.chart.getPlotItem().getViewBox()
        view.sigRangeChanged.connect(self._place_price)
        view.sigResized.connect(self._place_price)
        theme.theme_changed.connect(self._restyle)
        self._restyle()

    def sizeHint(self) -> QSize:
        return QSize(560, 260)

    # -- Content ----------------------------------------------------------------------------------------

    def draw(self, dots: Dots, lines: Sequence[Line], longest_kl: float) -> None:
        """Draw points and comparison curves; the x axis ends at `longest_kl`."""
        self.dots, self.lines = dots, tuple(lines)
        x, y = self._x(dots.kl), self.scale * dots.value
        has_any = bool(np.isfinite(y).any())
        self._path.setData(x if has_any else _NONE, y if has_any else _NONE)
        known = np.isfinite(dots.low) & np.isfinite(dots.high) & np.isfinite(y)
        low, high = self.scale * dots.low[known], self.scale * dots.high[known]
        self._bars.setData(x=x[known], y=y[known], top=high - y[known], bottom=y[known] - low)
        at = [] if dots.peak is None else [dots.peak]
        self._star.setData(x=x[at], y=y[at])
        for item in self._others:
            self.chart.removeItem(item)
        self._others = []
        for line in self.lines:
            item = pg.PlotDataItem(antialias=True, symbol="d" if line.has_dots else None, symbolSize=7)
            item.setZValue(-5)
            inside = line.kl <= longest_kl * 1.001
            item.setData(self._x(line.kl[inside]), self.scale * line.value[inside])
            self.chart.addItem(item)
            self._others.append(item)
        self._write_legend()
        self._restyle()
        if self._has_x:
            self.chart.getPlotItem().setLabel("bottom", "√KL to the parent (√nats)" if self.is_root else "KL (nats)")
        self.chart.show_range((0.0, float(self._x(np.array([longest_kl]))[0])), self._heights)
        self.show_look(self.index if self.index is not None and self.index < len(x) else None)
        self._place_price()

    def show_price(self, kl: float, words: str, tip: str) -> None:
        """Draw a vertical line at the minimum KL of a goal; NaN hides it."""
        self._kl_of_price, self._price_words = kl, words
        for item in (self._price, self.price_name):
            item.setToolTip(plain_tip(tip))
        self._place_price()

    def show_marks(self, kl: Sequence[float]) -> None:
        """Draw vertical dashed lines at these KL values."""
        self.chart.set_marks(self._x(np.asarray(kl, np.float64)).tolist())

    def show_look(self, i: int | None) -> None:
        """Draw a ring around a dot and show its description; None for no dot."""
        self.index = i
        at = [] if i is None or not math.isfinite(self.dots.value[i]) else [i]
        self._ring.setData(x=self._x(self.dots.kl[at]), y=self.scale * self.dots.value[at])
        self.read_out.setText(self.dots.words[i] if i is not None else "")

    def _x(self, kl: Floats) -> Floats:
        return np.sqrt(kl) if self.is_root else kl

    def _heights(self, first: float, last: float) -> tuple[float, float]:
        parts = [(self._x(self.dots.kl), each) for each in (self.dots.value, self.dots.low, self.dots.high)]
        parts += [(self._x(line.kl), line.value) for line in self.lines if line.has_dots or line.style == "solid"]
        shown = np.concatenate([self.scale * y[(x >= first - 1e-9) & (x <= last + 1e-9)] for x, y in parts])
        shown = shown[np.isfinite(shown)]
        low, high = float(shown.min(initial=0.0)), float(shown.max(initial=0.0))
        return (low, high) if high > low else (0.0, 1.0)

    # -- Input ------------------------------------------------------------------------------------------

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key, n = Qt.Key(event.key()), len(self.dots.kl)
        if key in _KEYS and n:
            self._point_at(min(max((n if self.index is None else self.index) + _KEYS[key], 0), n - 1))
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.index is not None:
            self.point_clicked.emit(self.index)
        elif key == Qt.Key.Key_Escape:
            self.chart.show_whole()
        else:
            super().keyPressEvent(event)

    def _point_at(self, i: int | None) -> None:
        if i != self.index:
            self.show_look(i)
            self.point_hovered.emit(i)

    @Slot(object)
    def _on_pointed(self, point: QPointF | None) -> None:
        self._point_at(self._nearest(point) if point is not None else None)

    def _nearest(self, point: QPointF) -> int | None:
        """Return the index of the dot near a point in chart coordinates, or None."""
        across, up = self.chart.getPlotItem().getViewBox().viewPixelSize()
        x, y = self._x(self.dots.kl) - point.x(), self.scale * self.dots.value - point.y()
        apart = np.hypot(x / (across or 1.0), y / (up or 1.0))
        if not np.isfinite(apart).any():
            return None
        i = int(np.nanargmin(apart))
        return i if apart[i] <= _NEAR else None

    @Slot(object)
    def _on_clicked(self, click: Any) -> None:
        if click.button() == Qt.MouseButton.LeftButton and not click.double() and self.index is not None:
            self.point_clicked.emit(self.index)

    # -- Style ------------------------------------------------------------------------------------------

    def _write_legend(self) -> None:
        while len(self._names) > len(self.lines):
            self._names.pop().deleteLater()
        while len(self._names) < len(self.lines):
            name = label("", "caption")
            name.setTextFormat(Qt.TextFormat.RichText)
            self._names.append(name)
            self.legend.addWidget(name)
        for name, line in zip(self._names, self.lines, strict=True):
            name.setToolTip(plain_tip(line.tip))

    @Slot()
    def _place_price(self) -> None:
        shown = math.isfinite(self._kl_of_price)
        self._price.setVisible(shown)
        self.price_name.setVisible(shown)
        if not shown:
            return
        x = float(self._x(np.array([self._kl_of_price]))[0])
        (left, right), (_, top) = self.chart.getPlotItem().getViewBox().viewRange()
        self._price.setValue(x)
        self.price_name.setText(self._price_words)
        is_left = x > (left + right) / 2
        self.price_name.setAnchor((1 if is_left else 0, 0))
        self.price_name.setPos(x, top)

    @Slot()
    def _restyle(self) -> None:
        theme, colors = self._theme, self._theme.theme
        self._path.setPen(theme.pen(self._role, width=1.5, alpha=0.55))
        self._path.setSymbolPen(theme.pen("surface"))
        self._path.setSymbolBrush(colors.color(self._role))
        self._bars.setOpts(pen=theme.pen(self._role, width=1.2, alpha=0.5))
        self._star.setPen(theme.pen("surface"))
        self._star.setBrush(colors.text)
        self._ring.setPen(theme.pen("text", width=1.5))
        self._price.setPen(theme.pen("faint", style=Qt.PenStyle.DashLine))
        self.price_name.setColor(colors.muted)
        self.price_name.fill = pg.mkBrush(colors.color("surface", 0.85))
        self.price_name.setFont(theme.font(0.85))
        for line, item in zip(self.lines, self._others, strict=True):
            item.setPen(theme.pen(line.role, width=1.4 if line.has_dots else 1.1, style=_STYLES[line.style][0]))
            item.setSymbolPen(theme.pen("surface"))
            item.setSymbolBrush(colors.color(line.role))
        for line, name in zip(self.lines, self._names, strict=True):
            name.setText(
                f'<span style="color:{getattr(colors, line.role)}">{_STYLES[line.style][1]}</span> {line.name}'
            )
        above = QFontMetrics(theme.font(0.85)).height() + 10 if math.isfinite(self._kl_of_price) else 10
        self.chart.set_margins(8, above, 10)
