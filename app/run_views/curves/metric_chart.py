"""The chart of the metric of a run's task, at each validation."""

from __future__ import annotations

import math

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QSize, Qt, Slot
from PySide6.QtGui import QFontMetrics

from terrarium.app.kit.basics import label, plain_tip
from terrarium.app.kit.plots.chart import Chart
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.run_views.curves.loss_chart import LossChart
from terrarium.app.run_views.curves.run_chart import RunChart, finite_between
from terrarium.models.metrics.metrics_table import METRICS, format_score
from terrarium.models.number_words import capitalized

_BEST = "★ best checkpoint"


class MetricChart(RunChart):
    """The metric of each validation as a dot, and a star at the best checkpoint. Empty for a run without a task.

    Args:
        loss: the chart above; both x axes are aligned.
    """

    def __init__(self, theme: ThemeProvider, loss: LossChart) -> None:
        self.title, self._loss = label("", "subheading"), loss
        super().__init__(theme, Chart(theme), self.title)
        self.show_unit("validation")
        self.setAccessibleName("Metric. Left and right read values, plus and minus zoom, Escape shows everything.")
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.read_out.setProperty("role", "small")
        self.line = pg.PlotDataItem(antialias=True, symbol="o", symbolSize=7)
        self.best = pg.ScatterPlotItem(symbol="star", size=17)
        self.best.setZValue(6)
        for item in (self.line, self.best):
            self.chart.addItem(item)
        self._x = self._values = np.empty(0)
        self.best_row: int | None = None
        """The row of `history.val` marked by the star."""
        theme.theme_changed.connect(self._restyle)
        self._restyle()
        self.draw(self.history, self.axis)

    def sizeHint(self) -> QSize:
        return QSize(560, 130)

    @property
    def _scale(self) -> float:
        """The factor of drawn values: shares are drawn in percent."""
        metric = self.history.metric
        return 100.0 if metric and METRICS[metric].unit == "share" else 1.0

    def _draw(self) -> None:
        metric, val = self.history.metric, self.history.val
        known = np.isfinite(val["metric_value"])
        self._x, self._values = self.axis.of_rows(val)[known], self._scale * val["metric_value"][known]
        self.title.setText(METRICS[metric].title if metric else "")
        self.title.setToolTip(plain_tip(capitalized(METRICS[metric].help) if metric else ""))
        self.show_unit("%, validation" if self._scale == 100 else "validation")
        self.chart.setAccessibleName(f"{METRICS[metric].title} on validation" if metric else "Metric")
        self.line.setData(self._x, self._values)
        self.best_row = self.history.best_checkpoint
        at = [] if self.best_row is None else [self.best_row]
        self.best.setData(x=self.axis.of_rows(val)[at], y=self._scale * val["metric_value"][at])
        above = QFontMetrics(self._theme.font(0.9)).height() // 2 + SPACE
        self.chart.getPlotItem().getAxis("left").end = 100.0 if self._scale == 100 else math.inf
        self.chart.set_margins(6, above, self._loss.right_margin)
        self.chart.show_range((0.0, self._length()), self._heights)

    def _heights(self, first: float, last: float) -> tuple[float, float]:
        """Return the y range between two x values, fitted to the data, since metrics rarely start at zero."""
        shown = finite_between(self._x, self._values, first, last)
        if not len(shown):
            return 0.0, self._scale
        low, high = float(shown.min()), float(shown.max())
        margin = 0.1 * (high - low) or 0.05 * (abs(high) or 1.0)
        return low - margin, high + margin

    def _read_out_text(self, row: int | None) -> str:
        metric, train, val = self.history.metric, self.history.train, self.history.val
        if not metric:
            return ""
        if row is None:
            if self.best_row is None:
                return ""
            step, value = val["step"][self.best_row], float(val["metric_value"][self.best_row])
            return f"{_BEST}: {format_score(metric, value)} at step {step:,.0f}"
        words = self.history.metric_at(int(train["step"][row]))
        before = int(np.searchsorted(val["step"], train["step"][row], side="right")) - 1
        return f"{words} at step {val['step'][before]:,.0f}" if words else ""

    @Slot()
    def _restyle(self) -> None:
        theme, colors = self._theme, self._theme.theme
        pen = theme.pen("validation", width=1.5, alpha=0.6)
        self.line.setPen(pen)
        self.line.setSymbolPen(theme.pen("surface"))
        self.line.setSymbolBrush(colors.validation)
        self.best.setPen(theme.pen("surface"))
        self.best.setBrush(colors.text)
