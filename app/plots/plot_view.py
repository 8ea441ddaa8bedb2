"""A chart that is described by a PlotSpec: with title, legend, read-out, zoom by mouse and key, menu and summary."""

from __future__ import annotations

import math

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QPoint, QPointF, QSize, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QAction, QFocusEvent, QFontMetrics, QKeyEvent
from PySide6.QtWidgets import QHBoxLayout, QMenu, QVBoxLayout, QWidget

from terrarium.app.kit.chart_export import Columns
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.plots.chart import Chart
from terrarium.app.plots.chart_base import ChartBase, is_by_key
from terrarium.app.plots.curve_points import Floats
from terrarium.app.plots.plot_head import Entry, PlotHead
from terrarium.app.plots.plot_spec import NONE, PlotSpec
from terrarium.app.plots.reference_line import ReferenceLine
from terrarium.app.plots.series_items import Arrows, BandItem, ReadOutBox, SeriesItems, place_names, sample_of

_DESCRIBE_MS = 1000
"""Milliseconds between descriptions of a live chart for screen readers."""
_SHORT = 64
"""Pixels of a read-out that are always shown."""
_NEAR = 24
"""Pixels within which the pointer finds a ringed point."""
_STRIDES = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1, Qt.Key.Key_Home: -(10**9), Qt.Key.Key_End: 10**9}
_ZOOMS = {Qt.Key.Key_Plus: 0.7, Qt.Key.Key_Equal: 0.7, Qt.Key.Key_Minus: 1 / 0.7}
_WHOLE = (Qt.Key.Key_0, Qt.Key.Key_Escape)
_CHOOSE = (Qt.Key.Key_Return, Qt.Key.Key_Enter)
_KEYS = "Left and right read values, plus and minus zoom, Escape shows everything."
_LINE_KINDS = ("line", "joined")


class PlotView(ChartBase):
    """Draws a PlotSpec.

    Arrow keys, Home and End read it; + and − zoom, 0 and Escape show everything; Return chooses what is read.

    Signals:
        read(i): the pointer, or a key, is at the place with this index; None: at none.
        chosen(i): the user clicked this place, or pressed Return there.
        log_changed(on): the user chose a logarithmic or linear y axis in the menu.

    Args:
        title: its heading, or a widget that serves as one. role: of the heading, in the style sheet. tip: explains it.
        unit: a note beside it.
        keys: what the keys do, for the accessible name.
        has_x, has_y: whether the axes have titles, and the x axis numbers: a chart below may show them.
        margins: free pixels at the left, top and right of the data.
        least: its minimum height in pixels.
        is_boxed: whether the read-out is a box beside the place instead of a line beside the title; it may then have
            several lines. For charts in a page that scrolls: the wheel zooms only with Ctrl.
        ground: the colour role of what is around it.
        has_legend: whether the names of series and bands are shown beside the title.
    """

    read = Signal(object)
    chosen = Signal(int)
    log_changed = Signal(bool)

    def __init__(
        self,
        theme: ThemeProvider,
        title: str | QWidget = "",
        *,
        role: str = "subheading",
        tip: str = "",
        unit: str = "",
        keys: str = _KEYS,
        has_x: bool = True,
        has_y: bool = False,
        margins: tuple[int, int, int] = (8, 10, 10),
        least: int = 72,
        is_boxed: bool = False,
        has_legend: bool = True,
        ground: str = "surface",
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(theme, parent)
        self.spec = PlotSpec()
        self.index: int | None = None
        self.is_log = False
        self._keys, self._has_x, self._has_y, self._has_legend = keys, has_x, has_y, has_legend
        self._name, self._least, self._margins, self._ground = "", least, margins, ground
        self._chart: Chart | None = None  # made with the first spec: it takes longer than the rest of many pages
        self._places: Floats | None = None
        self.items: list[SeriesItems] = []
        self.goal_lines: list[ReferenceLine] = []
        self._bands: list[BandItem] = []
        self._is_boxed = is_boxed
        self._box: ReadOutBox | None = None
        self._arrows: Arrows | None = None
        self._ring: pg.ScatterPlotItem | None = None
        self._summary: str | None = None
        self._is_styled = False
        self._description_due = QTimer(self, singleShot=True, interval=_DESCRIBE_MS)
        self._description_due.timeout.connect(self._set_description)
        self.head = PlotHead(title, role, tip, explained=self)
        self.title, self.unit, self.read_out = self.head.title, self.head.unit, self.head.read_out
        self.body = QHBoxLayout()
        self._build()
        self.show_unit(unit)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        if isinstance(title, str):
            self.set_name(title)
        theme.theme_changed.connect(self._on_theme)

    def _build(self) -> None:
        self.body.setSpacing(SPACE // 2)
        self._empty = QWidget()
        self.body.addWidget(self._empty, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(SPACE // 2)
        layout.addLayout(self.head)
        layout.addLayout(self.body, 1)

    def sizeHint(self) -> QSize:
        return QSize(560, 260)

    def set_name(self, name: str) -> None:
        """Set what the chart is called by a screen reader, and in the name of an exported file."""
        self._name = name
        self.setAccessibleName(f"{name}. {self._keys}")
        if self._chart is not None:
            self._chart.setAccessibleName(name)

    def set_title(self, title: str) -> None:
        """Change the heading."""
        self.head.set_title(title)

    def show_unit(self, unit: str) -> None:
        """Show a unit, or another short note, beside the title; "" for none."""
        self.head.show_unit(unit)

    def show_x(self, *, shown: bool) -> None:
        """Show the numbers and the title of the x axis; of charts in a stack, only the lowest needs them."""
        self._has_x = shown
        if self._chart is not None:
            self._chart.show_x(shown=shown)
            self._chart.getPlotItem().setLabel("bottom", self.spec.x_title)

    def show_chart(self, *, shown: bool) -> None:
        """Show or hide all but the title and the legend."""
        (self._chart or self._empty).setVisible(shown)

    def set_least(self, height: int) -> None:
        """Set the minimum height of the chart, in pixels."""
        self._least = height
        if self._chart is not None:
            self._chart.setMinimumHeight(height)

    @property
    def chart(self) -> Chart:
        """The chart; it is created when it is first needed."""
        if self._chart is None:
            self._chart = chart = self._make_chart()
            chart.setAccessibleName(self._name)
            chart.setMinimumHeight(self._least)
            chart.show_x(shown=self._has_x)
            chart.scrolls_page = self._is_boxed
            self._empty.hide()  # not deleted: PySide would take the viewport of another widget for deleted, too
            self.body.insertWidget(0, chart, 1)
            if self._is_boxed:
                self._box = ReadOutBox()
                chart.addItem(self._box)
            chart.pointed.connect(self._on_pointed)
            chart.scene().sigMouseClicked.connect(self._on_clicked)
            view = chart.getPlotItem().getViewBox()
            view.sigRangeChanged.connect(self._place_names)
            view.sigResized.connect(self._place_names)
        return self._chart

    def _make_chart(self) -> Chart:
        x, y = (" " if has_title else "" for has_title in (self._has_x, self._has_y))
        return Chart(self._theme, x=x, y=y, margins=self._margins, ground=self._ground)

    # -- Content ----------------------------------------------------------------------------------------

    def show_spec(self, spec: PlotSpec) -> None:
        """Draw a spec instead of the current one. The place that is read stays, if there still is one."""
        self.spec, self._places, self._summary = spec, None, None
        if spec.title:
            self.set_title(spec.title)
            self.set_name(spec.title)
        chart, plot = self.chart, self.chart.getPlotItem()
        plot.setLogMode(x=spec.is_log_x, y=self.is_log)
        for side, names, place in (("bottom", spec.x_names, self.across), ("left", spec.y_names, self.up)):
            at = place(np.array([value for value, _ in names], np.float64)).tolist()
            plot.getAxis(side).names = list(zip(at, (words for _, words in names), strict=True))
        if self._has_x:
            plot.setLabel("bottom", spec.x_title)
        if self._has_y:
            plot.setLabel("left", spec.y_title)
        while len(self.items) > len(spec.series):
            self.items.pop().remove()
        while len(self.items) < len(spec.series):
            self.items.append(SeriesItems(chart, self._theme, z=1.0 + len(self.items)))  # above the grid
        for item, each in zip(self.items, spec.series, strict=True):
            across = tuple(None if x is None else self.across(x) for x in (each.x, each.x_low, each.x_high))
            up = tuple(None if y is None else self.up(y) for y in (each.y, each.low, each.high))
            item.show(each, (across[0], *up, *across[1:]))
        if spec.arrows or self._arrows is not None:
            self._show_arrows(spec)
        self._show_goals(chart)
        chart.set_marks(self.across(np.asarray(spec.marks, np.float64)).tolist(), spec.ticks)
        chart.say(spec.message)
        chart.show_scales(any(len(each.x) for each in spec.series))
        if not self._is_styled:
            self._is_styled = True
            self.restyle()
        else:
            self._write_legend()
            chart.set_margins(*self._free())
        first, last = self.across(np.array(spec.shown_range())).tolist()
        chart.show_range((first, last), self._heights)
        self.show_point(self.index)
        if self.index is None:
            self._describe_soon()
        self._place_names()

    def _show_arrows(self, spec: PlotSpec) -> None:
        if self._arrows is None:
            self._arrows = Arrows(self._theme)
            self.chart.addItem(self._arrows)
        x, y = self.across(self.places), NONE if spec.heights is None else self.up(spec.heights)
        self._arrows.show([(QPointF(x[i], y[i]), QPointF(x[j], y[j])) for i, j in spec.arrows])

    def _show_goals(self, chart: Chart) -> None:
        goals, bands = self.spec.goals, self.spec.bands
        for i, goal in enumerate(goals):
            if i == len(self.goal_lines):
                self.goal_lines.append(ReferenceLine(chart, goal))
                self.goal_lines[i].restyle(self._theme)
            value = np.array([goal.value])
            self.goal_lines[i].show(goal, float((self.across if goal.is_vertical else self.up)(value)[0]))
        while len(self.goal_lines) > len(goals):
            self.goal_lines.pop().remove(chart)
        while len(self._bands) > len(bands):
            chart.removeItem(self._bands.pop().region)
        for i, band in enumerate(bands):
            if i == len(self._bands):
                self._bands.append(BandItem(chart, self._theme, band))
                self._bands[i].restyle()
            ends = np.array([band.low, band.high])
            self._bands[i].show(band, self.across(ends) if band.is_vertical else self.up(ends))

    def across(self, x: Floats) -> Floats:
        """Convert x to chart coordinates: log10 on a logarithmic axis."""
        if not self.spec.is_log_x:
            return x
        return np.log10(np.maximum(x, max(self.spec.shown_range()[0], 1e-300)))

    def up(self, y: Floats) -> Floats:
        """Convert y to chart coordinates: log10 on a logarithmic axis, NaN if it has none."""
        if not self.is_log:
            return y
        return np.log10(y, out=np.full(len(y), math.nan), where=y > 0)

    def _heights(self, first: float, last: float) -> tuple[float, float]:
        """Return the y range between two x, all in chart coordinates."""
        if self.spec.is_log_x:
            first, last = 10**first, 10**last
        low, high = self.spec.y_between(first, last, above_zero=self.is_log)
        return (math.log10(low), math.log10(high)) if self.is_log else (low, high)

    # -- Reading ----------------------------------------------------------------------------------------

    @property
    def places(self) -> Floats:
        """The x of the places that can be read, (n,)."""
        if self._places is None:
            self._places = self.spec.places()
        return self._places

    def show_point(self, i: int | None) -> None:
        """Mark a place and show its description; None, or an index beyond the last: show that of the whole."""
        places, was_read = self.places, self.index is not None
        self.index = i = i if i is not None and i < len(places) else None
        heights = self.spec.heights
        x = NONE if i is None else self.across(places[[i]])
        self.chart.show_cursor(float(x[0]) if i is not None and heights is None else None)
        if heights is not None:
            self._show_ring(x, NONE if i is None else self.up(heights[[i]]))
        words = self.words_of(i)
        if self._box is None:
            self.read_out.setText(words)
        else:
            self._box.show_words(words if i is not None else "", *self._beside(i, x))
        if i is not None:
            self.setAccessibleDescription(words)
        elif was_read:
            self._set_description()

    def _show_ring(self, x: Floats, y: Floats) -> None:
        if self._ring is None:
            self._ring = pg.ScatterPlotItem(symbol="o", size=15, brush=None, pen=self._theme.pen("text", width=1.5))
            self._ring.setZValue(70)
            self.chart.addItem(self._ring)
        is_known = bool(np.isfinite(y).any())
        self._ring.setData(x=x if is_known else NONE, y=y if is_known else NONE)

    def words_of(self, i: int | None) -> str:
        """Return the read-out of a place; with None, the text shown without a pointer."""
        return self.spec.whole_words if i is None else self.spec.describe(i)

    def _beside(self, i: int | None, x: Floats) -> tuple[float, float]:
        """Return the point beside which the read-out is drawn."""
        if i is None:
            return 0.0, 0.0
        high = self.chart.getPlotItem().getViewBox().viewRange()[1][1]
        return float(x[0]), high if self.spec.heights is None else float(self.up(self.spec.heights[[i]])[0])

    def _describe_soon(self) -> None:
        """Describe the chart to screen readers: at first at once, then at most once a second while it grows."""
        if not self.accessibleDescription():
            self._set_description()
        elif not self._description_due.isActive():
            self._description_due.start()

    @Slot()
    def _set_description(self) -> None:
        if self.index is None:
            self.setAccessibleDescription(self.summary())

    def _point_at(self, i: int | None) -> None:
        if i != self.index:
            self.show_point(i)
            self.read.emit(i)

    @Slot(object)
    def _on_pointed(self, point: QPointF | None) -> None:
        self._point_at(None if point is None or not len(self.places) else self._nearest(point))

    def _nearest(self, point: QPointF) -> int | None:
        """Return the index of the place near a point in chart coordinates, or None."""
        x, heights = self.across(self.places) - point.x(), self.spec.heights
        if heights is None:
            return int(np.argmin(np.abs(x)))
        across, up = self.chart.getPlotItem().getViewBox().viewPixelSize()
        apart = np.hypot(x / (across or 1.0), (self.up(heights) - point.y()) / (up or 1.0))
        if not np.isfinite(apart).any():
            return None
        i = int(np.nanargmin(apart))
        return i if apart[i] <= _NEAR else None

    @Slot(object)
    def _on_clicked(self, click: pg.GraphicsScene.mouseEvents.MouseClickEvent) -> None:
        if click.button() == Qt.MouseButton.LeftButton and not click.double() and self.index is not None:
            self.chosen.emit(self.index)

    def _uses_key(self, key: int) -> bool:
        if self._chart is None or not len(self.places):
            return False
        is_moved = self._chart.window is not None or self._chart.has_own_height
        is_read = self.index is not None
        return key in (*_STRIDES, *_ZOOMS) or (is_read and key in _CHOOSE) or ((is_read or is_moved) and key in _WHOLE)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if self._chart is None or not self._uses_key(event.key()):
            super().keyPressEvent(event)
            return
        key, n = Qt.Key(event.key()), len(self.places)
        i = n - 1 if self.index is None else self.index
        if key in _STRIDES:
            is_single = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
            i = min(max(i + _STRIDES[key] * (1 if is_single else self._stride()), 0), n - 1)
            self._chart.reveal(float(self.across(self.places[[i]])[0]))
            self._point_at(i)
        elif key in _ZOOMS:
            self._chart.zoom(_ZOOMS[key], float(self.across(self.places[[i]])[0]))
            self._point_at(i)
        elif key in _WHOLE and (self._chart.window is not None or self._chart.has_own_height):
            self._chart.show_whole()
        elif key == Qt.Key.Key_Escape:
            self._point_at(None)
        elif key in _CHOOSE:
            self.chosen.emit(i)

    def _stride(self) -> int:
        """Return by how many places an arrow moves: a hundredth of those in view."""
        first, last = self.chart.window or (-math.inf, math.inf)
        across = self.across(self.places)
        return max(int(np.count_nonzero((across >= first) & (across <= last))) // 100, 1)

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        if is_by_key(event.reason()) and len(self.places):
            self._point_at(len(self.places) - 1)
            self.setAccessibleDescription(f"{self.accessibleDescription()}. {self.summary()}")

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        if self._chart is not None:
            self._point_at(None)

    # -- Abilities --------------------------------------------------------------------------------------

    def columns(self) -> Columns:
        return self.spec.columns()

    def summary(self) -> str:
        if self._summary is None:
            self._summary = self.spec.summary()
        return self._summary

    @property
    def export_name(self) -> str:
        return self._name

    def set_log(self, on: bool) -> None:
        """Use a logarithmic or a linear y axis."""
        self.is_log = on
        self.chart.show_window(self.chart.window)  # without the heights that the user chose
        self.show_spec(self.spec)

    @property
    def can_log(self) -> bool:
        """Whether all values have a logarithm."""
        drawn = [each for each in self.spec.series if np.isfinite(each.y).any()]
        has_others = bool(self.spec.y_names) or any(each.kind not in (*_LINE_KINDS, "dots") for each in drawn)
        return bool(drawn) and not has_others and all(float(np.nanmin(each.y)) > 0 for each in drawn)

    def view_actions(self, menu: QMenu) -> list[QAction]:
        whole, log = QAction("Show whole\t0", menu), QAction("Logarithmic scale", menu)
        whole.setEnabled(self.chart.window is not None or self.chart.has_own_height)
        whole.triggered.connect(self.chart.show_whole)
        log.setCheckable(True)
        log.setChecked(self.is_log)
        log.setEnabled(self.is_log or self.can_log)
        log.triggered.connect(self._on_log)
        return [whole, log]

    @Slot(bool)
    def _on_log(self, on: bool) -> None:
        self.set_log(on)
        self.log_changed.emit(on)

    def _corner(self) -> QPoint:
        return (self._chart or self._empty).geometry().topRight()

    # -- Style ------------------------------------------------------------------------------------------

    @Slot()
    def _place_names(self) -> None:
        """Place the names of lines and points for the visible part."""
        for line in self.goal_lines:
            line.place()
        if any(item.labels for item in self.items):
            view, points = self.chart.getPlotItem().getViewBox(), list(map(self._points_of, self.items))
            place_names(view, self.items, points)

    def _points_of(self, item: SeriesItems) -> tuple[Floats, Floats]:
        """Return the points of a series in chart coordinates."""
        return self.across(item.series.x), self.up(item.series.y)

    @Slot()
    def _on_theme(self) -> None:
        # Qt would not forget a slot that a subclass overrides when the chart is deleted.
        if self._chart is not None:
            self.restyle()

    def restyle(self) -> None:
        """Take the colours and fonts of the theme."""
        theme = self._theme
        for item in self.items:
            item.restyle()
        for band in self._bands:
            band.restyle()
        for line in self.goal_lines:
            line.restyle(theme)
        if self._ring is not None:
            self._ring.setPen(theme.pen("text", width=1.5))
        if self._box is not None:
            self._box.restyle(theme)
        self._write_legend()
        self.chart.set_margins(*self._free())

    def _free(self) -> tuple[int, int, int]:
        """Return the free pixels at the left, top and right of the data: above it for the names of vertical lines."""
        left, above, right = self._margins
        if any(goal.is_vertical and math.isfinite(goal.value) for goal in self.spec.goals):
            above = max(above, QFontMetrics(self._theme.font(0.85)).height() + 10)
        return left, above, right

    def _write_legend(self) -> None:
        """Write the names of series and bands beside the title, each after a sample of how it is drawn."""
        colors, entries = self._theme.theme, list[Entry]()
        if not self._has_legend:
            return
        for item in self.items:
            each = item.series
            if each.name and each.in_legend:
                entries.append((item.colour().name(), sample_of(each), each.name, each.tip))
        entries += [(getattr(colors, band.role), "■", band.name, "") for band in self.spec.bands if band.name]
        self.head.show_legend(entries)
