"""Dashed lines at reference values of a chart, with their names."""

from __future__ import annotations

import math

import pyqtgraph as pg
from PySide6.QtCore import Qt
from PySide6.QtGui import QFontMetrics

from terrarium.app.kit.basics import plain_tip
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.plots.chart import Chart
from terrarium.app.plots.plot_spec import Goal

_GAP, _START = 6, 14
"""Pixels between the label and the right edge, and between the label and the axis at the left."""


class ReferenceLine:
    """A labelled dashed line at a reference value, hidden while there is none.

    The label of a horizontal line is above it, or below it if it would cover a curve; that of a vertical line is
    beside its upper end.
    """

    def __init__(self, chart: Chart, goal: Goal) -> None:
        self.goal, is_vertical = goal, goal.is_vertical
        self._line = pg.InfiniteLine(angle=90 if is_vertical else 0, movable=False)
        self.name = pg.TextItem(anchor=(0, 0) if is_vertical else (1, 1))
        if is_vertical:
            self._line.setZValue(-12)
            self.name.setZValue(90)
        else:
            self.name.textItem.document().setDocumentMargin(1)
            self.name.setZValue(-30)  # below the curves, so that it hides none
            self._line.setZValue(-31)  # below the names of the curves
        self._view = chart.getPlotItem().getViewBox()
        for item in (self._line, self.name):
            chart.addItem(item)
        self.show(goal, math.nan)

    @property
    def value(self) -> float:
        """The value; NaN for none."""
        return self.goal.value

    @property
    def axis_value(self) -> float:
        """The position on its axis, which may be logarithmic."""
        return float(self._line.value())

    def show(self, goal: Goal, at: float) -> None:
        """Show another line. at: its position on the axis; NaN hides it."""
        self.goal = goal
        self._line.setToolTip(plain_tip(goal.tip))
        self.name.setToolTip(plain_tip(goal.tip))
        shown = math.isfinite(at)
        self._line.setVisible(shown)
        self.name.setVisible(shown)
        if shown:
            self._line.setValue(at)
            self.name.setText(goal.name)

    def place(self) -> None:
        """Place the label: at one of its ends, or beside the upper end of a vertical line."""
        (left, right), (_, top) = self._view.viewRange()
        if not self.goal.is_vertical:
            self.place_name(right, at_left=self.goal.at_left)
            return
        at = self.axis_value
        self.name.setAnchor((1 if at > (left + right) / 2 else 0, 0))
        self.name.setPos(at, top)

    def place_name(self, right: float, *, below: bool = False, fits: bool = True, at_left: bool = False) -> None:
        """Place the label above or `below` a horizontal line, and elide it if it is wider than the view.

        Args:
            right: the x where the label ends. A label too long for that, or `at_left`, begins at the left edge.
            fits: whether there is room; the label is hidden otherwise.
        """
        self.name.setVisible(self._line.isVisible() and fits)
        view, words, tip = self._view, self.goal.name, self.goal.tip
        left, per_pixel = view.viewRange()[0][0], view.viewPixelSize()[0]
        metrics = QFontMetrics(self.name.textItem.font())
        shown = metrics.elidedText(words, Qt.TextElideMode.ElideRight, int(view.width()) - _GAP - _START)
        self.name.setText(shown)
        self.name.setToolTip(plain_tip(tip if shown == words else f"{words}\n{tip}"))
        left += _START * per_pixel
        starts = at_left or self.name.boundingRect().width() * per_pixel > right - left
        self.name.setAnchor((0 if starts else 1, 0 if below else 1))
        self.name.setPos(left if starts else right, self._line.value())

    def remove(self, chart: Chart) -> None:
        """Remove it from its chart."""
        for item in (self._line, self.name):
            chart.removeItem(item)

    def restyle(self, theme: ThemeProvider) -> None:
        """Take the theme's colours."""
        is_vertical = self.goal.is_vertical
        self._line.setPen(theme.pen(self.goal.role, style=Qt.PenStyle.DashLine))
        self.name.setColor(theme.theme.color("muted" if self.goal.role == "faint" else self.goal.role))
        self.name.fill = pg.mkBrush(theme.theme.color("surface", 0.85 if is_vertical else 1.0))
        self.name.setFont(theme.font(0.85 if is_vertical else 0.9))
