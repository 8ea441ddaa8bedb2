"""The chart of the metric of a run's task, at each validation."""

from __future__ import annotations

import math

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QSize
from PySide6.QtGui import QFontMetrics

from terrarium.app.kit.basics import label, plain_tip
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.plots.chart import Curve
from terrarium.app.plots.plot_spec import NONE, PlotSpec, Series
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
        self._loss, self._x, self._values = loss, NONE, NONE
        self.best_row: int | None = None
        """The row of `history.val` marked by the star."""
        self.heading = label("", "subheading")
        super().__init__(theme, self.heading, unit="validation")
        self.read_out.setProperty("role", "small")
        self.redraw()

    def sizeHint(self) -> QSize:
        return QSize(560, 130)

    @property
    def _scale(self) -> float:
        """The factor of drawn values: shares are drawn in percent."""
        metric = self.history.metric
        return 100.0 if metric and METRICS[metric].unit == "share" else 1.0

    @property
    def line(self) -> Curve:
        """The line through the dots."""
        return self.items[0].line

    @property
    def best(self) -> pg.ScatterPlotItem:
        """The star."""
        return self.items[0].star

    def _spec(self) -> PlotSpec:
        metric, val = self.history.metric, self.history.val
        known = np.flatnonzero(np.isfinite(val["metric_value"]))
        self._x, self._values = self.axis.of_rows(val)[known], self._scale * val["metric_value"][known]
        self.heading.setText(METRICS[metric].title if metric else "")
        self.heading.setToolTip(plain_tip(capitalized(METRICS[metric].help) if metric else ""))
        self.show_unit("%, validation" if self._scale == 100 else "validation")
        self.set_name(f"{METRICS[metric].title} on validation" if metric else "Metric")
        self.best_row = self.history.best_checkpoint
        self.chart.getPlotItem().getAxis("left").end = 100.0 if self._scale == 100 else math.inf
        dots = Series(
            x=self._x,
            y=self._values,
            kind="joined",
            name=self._name,
            role="validation",
            width=1.5,
            alpha=0.6,
            star=None if self.best_row is None else int(np.searchsorted(known, self.best_row)),
        )
        return PlotSpec(series=(dots,), y_title=self._name, x_range=(0.0, self._length()), y_range=self._fitted)

    def _free(self) -> tuple[int, int, int]:
        return 6, QFontMetrics(self._theme.font(0.9)).height() // 2 + SPACE, self._loss.right_margin

    def _fitted(self, first: float, last: float) -> tuple[float, float]:
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
