"""The base class of a run's charts: a header with name and values, and a pointer that reads a row."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, Qt, Signal, Slot
from PySide6.QtGui import QFocusEvent, QKeyEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from terrarium.app.kit.basics import label, row
from terrarium.app.kit.help_mark import help_marks
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.plots.chart import Chart
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.run_views.curves.run_axis import RunAxis, nearest_row
from terrarium.app.session.run_history import RunHistory

Floats = NDArray[np.float64]

_LEAST, _X = 48, 40
"""Minimum height of a chart in pixels, and the additional height of its x axis."""
_STRIDES = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1, Qt.Key.Key_Home: -(10**9), Qt.Key.Key_End: 10**9}
_ZOOMS = {Qt.Key.Key_Plus: 0.7, Qt.Key.Key_Equal: 0.7, Qt.Key.Key_Minus: 1 / 0.7}


class RunChart(QWidget):
    """A chart over the steps of a run, with its name and, at the right, the values at the pointer.

    Subclasses draw `history` along `axis` in `_draw` and return the values as text in `_read_out_text`.

    Signals:
        row_pointed(row): the pointer is at this row of `history.train`; None: outside the chart.
    """

    row_pointed = Signal(object)

    def __init__(self, theme: ThemeProvider, chart: Chart, title: QWidget, unit: str = "") -> None:
        super().__init__()
        self._theme = theme
        self.chart = chart
        self.history = RunHistory()
        self.axis = RunAxis()
        self._row: int | None = None
        self.read_out = ElidedLabel()
        self.read_out.setProperty("role", "mono-small")
        self.read_out.alignment = Qt.AlignmentFlag.AlignRight
        self._unit = label(unit, "caption")
        if not unit:
            self._unit.hide()
        self.head = QHBoxLayout()
        self.head.setSpacing(SPACE)
        marks = help_marks(title.text(), self) if isinstance(title, QLabel) else []
        self.head.addLayout(row(title, *marks, spacing=SPACE // 2))
        self.head.addWidget(self._unit)
        self.head.addWidget(self.read_out, 1)
        self.body = QHBoxLayout()
        self.body.setSpacing(SPACE // 2)
        self.body.addWidget(chart, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(SPACE // 2)
        layout.addLayout(self.head)
        layout.addLayout(self.body, 1)
        chart.pointed.connect(self._on_pointed)
        self.show_x(shown=True)

    def show_unit(self, unit: str) -> None:
        """Show a unit, or another short note, beside the name; "" for none."""
        self._unit.setText(unit)
        self._unit.setVisible(bool(unit))

    def show_x(self, *, shown: bool) -> None:
        """Show the ticks and title of the x axis; in a stack of charts, only the lowest needs them."""
        self._has_x = shown
        self.chart.show_x(shown=shown)
        self.chart.setMinimumHeight(_LEAST + (_X if shown else 0))
        if shown:
            self.chart.getPlotItem().setLabel("bottom", self.axis.title)

    def draw(self, history: RunHistory, axis: RunAxis) -> None:
        """Draw a run's history along an axis."""
        self.history, self.axis = history, axis
        anything = len(history.train) > 1
        self.chart.show_scales(anything)
        if self._has_x:
            self.chart.getPlotItem().setLabel("bottom", axis.title)
        self._draw()
        self.show_row(self._row)

    def show_row(self, row: int | None) -> None:
        """Show the values at a row of `history.train`; None: the text shown without a pointer."""
        positions = self.axis.of_rows(self.history.train)
        self._row = row if row is not None and row < len(positions) else None
        self.chart.show_cursor(None if self._row is None else float(positions[self._row]))
        self.read_out.setText(self._read_out_text(self._row))

    # -- Keys (charts that take the focus) ---------------------------------------------------------------

    def keyPressEvent(self, event: QKeyEvent) -> None:
        n, key = len(self.history.train), Qt.Key(event.key())
        if n < 2 or key not in (*_STRIDES, *_ZOOMS, Qt.Key.Key_Escape):
            super().keyPressEvent(event)
            return
        positions = self.axis.of_rows(self.history.train)
        row = n - 1 if self._row is None else self._row
        if key in _STRIDES:
            first, last = self.chart.window or (-math.inf, math.inf)
            n_shown = int(np.count_nonzero((positions >= first) & (positions <= last)))
            one = 1 if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else max(n_shown // 100, 1)
            row = min(max(row + _STRIDES[key] * one, 0), n - 1)
            self.chart.reveal(float(positions[row]))
        elif key in _ZOOMS:
            self.chart.zoom(_ZOOMS[key], float(positions[row]))
        else:
            self.chart.show_whole()
        self._point_at(row)

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        if event.reason() in (Qt.FocusReason.TabFocusReason, Qt.FocusReason.BacktabFocusReason):
            self._point_at(len(self.history.train) - 1 if len(self.history.train) > 1 else None)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self._point_at(None)

    def _point_at(self, row: int | None) -> None:
        if row != self._row:
            self.show_row(row)
            self.row_pointed.emit(row)

    def _draw(self) -> None:
        raise NotImplementedError

    def _read_out_text(self, row: int | None) -> str:
        """Return the values at a row as text; with None, the text shown without a pointer."""
        raise NotImplementedError

    @Slot(object)
    def _on_pointed(self, point: QPointF | None) -> None:
        positions = self.axis.of_rows(self.history.train)
        row = nearest_row(positions, point.x()) if point is not None and len(positions) > 1 else None
        self._point_at(row)

    def _length(self) -> float:
        """Return the end of the run along the axis; 1 before the first step."""
        tables = (self.history.train, self.history.val)
        return max((float(self.axis.of_rows(table)[-1]) for table in tables if len(table)), default=0.0) or 1.0


def finite_between(x: Floats, y: Floats, first: float, last: float) -> Floats:
    """Return the finite y of the points (n,) with first ≤ x ≤ last; x must be sorted."""
    part = y[int(np.searchsorted(x, first)) : int(np.searchsorted(x, last, side="right"))]
    return part[np.isfinite(part)]


def span_of(values: Floats, *, whole: bool) -> tuple[float, float]:
    """Return the y range of positive values (n,): from zero for a whole run, fitted to the values for a part."""
    top = float(values.max(initial=0.0)) or 1.0
    if whole or not len(values):
        return 0.0, top
    low = float(values.min())
    margin = 0.05 * (top - low) or 0.05 * top
    return max(low - margin, 0.0), top + margin
