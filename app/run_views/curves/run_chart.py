"""The base class of a run's charts over its steps: the pointer reads a row of the history."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from PySide6.QtWidgets import QWidget

from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.plots.curve_points import Floats
from terrarium.app.plots.plot_spec import NONE, PlotSpec
from terrarium.app.plots.plot_view import PlotView
from terrarium.app.run_views.curves.run_axis import RunAxis
from terrarium.app.session.run_history import RunHistory

_LEAST, _X = 48, 40
"""Minimum height of a chart in pixels, and the additional height of its x axis."""
_MARGINS = (6, 6, 6)


class RunChart(PlotView):
    """A chart over the steps of a run, with its name and, at the right, the values at the pointer.

    Subclasses describe `history` along `axis` in `_spec` and return the values as text in `_read_out_text`. Each place
    that is read is a row of `history.train`; without a place, the text is that of the run.
    """

    def __init__(
        self,
        theme: ThemeProvider,
        title: str | QWidget,
        *,
        tip: str = "",
        unit: str = "",
        margins: tuple[int, int, int] = _MARGINS,
        has_legend: bool = False,
    ) -> None:
        self.history = RunHistory()
        self.axis = RunAxis()
        super().__init__(theme, title, tip=tip, unit=unit, margins=margins, has_legend=has_legend)
        self.read_out.setProperty("role", "mono-small")
        self._marks: tuple[Sequence[float], Sequence[float]] = ((), ())

    def show_x(self, *, shown: bool) -> None:
        super().show_x(shown=shown)
        self.set_least(_LEAST + (_X if shown else 0))

    def draw(
        self,
        history: RunHistory,
        axis: RunAxis,
        marks: Sequence[float] = (),
        ticks: Sequence[float] = (),
    ) -> None:
        """Draw a run's history along an axis, with dashed lines and ticks at these x."""
        self.history, self.axis, self._marks = history, axis, (marks, ticks)
        has_begun = len(history.train) > 1
        spec = dataclasses.replace(
            self._spec(),
            x_title=axis.title,
            at=axis.of_rows(history.train) if has_begun else NONE,
            words=self._read_out_text,
            marks=marks,
            ticks=ticks,
        )
        self.show_spec(spec)
        self.chart.show_scales(has_begun)

    def redraw(self) -> None:
        """Draw the same history again, after a change of how it is drawn."""
        self.draw(self.history, self.axis, *self._marks)

    def _spec(self) -> PlotSpec:
        """Return what to draw, without what all charts of a run have in common."""
        raise NotImplementedError

    def words_of(self, i: int | None) -> str:
        return self._read_out_text(i)

    def _read_out_text(self, row: int | None) -> str:
        """Return the values at a row as text; with None, the text shown without a pointer."""
        raise NotImplementedError

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
