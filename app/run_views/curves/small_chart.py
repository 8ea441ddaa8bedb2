"""A small chart of one quantity of a run."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from PySide6.QtCore import QSize

from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.plots.chart import Curve
from terrarium.app.plots.curve_points import SMOOTHING, moving_average
from terrarium.app.plots.plot_spec import NONE, PlotSpec, Series
from terrarium.app.run_views.curves.run_chart import RunChart, finite_between, span_of
from terrarium.models.number_words import with_minus
from terrarium.models.runs.curve import Table

RowFormat = Callable[[Table, int], str]
"""Formats the value at a row of a table."""


class SmallChart(RunChart):
    """One quantity of a run over its steps, with its name, unit and the value at the pointer, or the latest.

    Args:
        column: of RunHistory.train. `sparse`: not measured at every step; the last measurement is shown.
        format_row: formats the value at a row; by default with `form`.
        scale: maps the largest value to (divisor of all values, unit beside the name).
        noisy: draw a thin line, with a smoothed line on top.
        has_x: whether to show the x axis, see RunChart.show_x.
    """

    def __init__(
        self,
        theme: ThemeProvider,
        title: str,
        column: str,
        unit: str = "",
        *,
        form: str = ".3g",
        format_row: RowFormat | None = None,
        scale: Callable[[float], tuple[float, str]] | None = None,
        noisy: bool = False,
        sparse: bool = False,
        has_x: bool = True,
        tip: str = "",
    ) -> None:
        super().__init__(theme, title, tip=tip, unit=unit)
        self._column, self._noisy, self._sparse, self._scale, self._divisor = column, noisy, sparse, scale, 1.0
        self._format_row: RowFormat = format_row or (
            lambda train, row: format_number(float(train[column][row]) / self._divisor, form)
        )
        self.smoothing = SMOOTHING
        self._x = self._values = NONE
        self.show_x(shown=has_x)
        self.redraw()

    def sizeHint(self) -> QSize:
        return QSize(240, 100)

    def set_smoothing(self, amount: float) -> None:
        """Set the smoothing of the thick line, from 0 (none) to 1: see `moving_average`."""
        self.smoothing = amount
        self.redraw()

    @property
    def line(self) -> Curve:
        """The line of all values."""
        return self.items[0].line

    def _spec(self) -> PlotSpec:
        train = self.history.train
        values, x = train[self._column], self.axis.of_rows(train)
        if self._sparse:
            known = np.isfinite(values)
            values, x = values[known], x[known]
        if self._scale is not None:
            self._divisor, unit = self._scale(float(values.max(initial=0.0)))
            values = values / self._divisor
            self.show_unit(unit)
        self._x, self._values = x, values
        thin = self._noisy and self.smoothing > 0
        series = [Series(x=x, y=values, name=self._name, role="info", alpha=0.35 if thin else 1.0)]
        if thin:
            means = moving_average(train[f"mean:{self._column}"], self.smoothing, train["rows"])
            name = f"{self._name}, smoothed"
            series.append(Series(x=self.axis.of_rows(train), y=means, name=name, role="info", width=1.5))
        return PlotSpec(series=series, y_title=self._name, x_range=(0.0, self._length()), y_range=self._fitted)

    def _fitted(self, first: float, last: float) -> tuple[float, float]:
        """Return the y range between two x values: from zero for the whole run, fitted to the data for a part."""
        return span_of(finite_between(self._x, self._values, first, last), whole=self.chart.window is None)

    def _read_out_text(self, row: int | None) -> str:
        train = self.history.train
        row = len(train) - 1 if row is None else row
        if self._sparse:
            known = np.flatnonzero(np.isfinite(train[self._column][: row + 1]))
            row = int(known[-1]) if len(known) else -1
        return self._format_row(train, row) if row >= 0 else "–"


def format_number(value: float, form: str) -> str:
    """Format a number, “–” if it is not finite."""
    return with_minus(format(value, form)) if math.isfinite(value) else "–"
