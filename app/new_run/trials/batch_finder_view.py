"""The view of a batch-size trial: speed and memory by batch size, and the suggested size."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import Slot

from terrarium.app.kit.basics import label
from terrarium.app.kit.plots.chart import Chart
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.new_run.trials.finder_view import FinderView
from terrarium.app.new_run.trials.trials import Trials, TrialState
from terrarium.app.session.training import Training
from terrarium.models.number_words import format_count, format_size, size_unit
from terrarium.models.settings.run_spec import RunSpec
from terrarium.models.training.estimates.findings import BatchFound, BatchPoint

_ABOUT = (
    "Batches of 1, 2, 4 … texts are each trained for a few steps on this run's own data, until memory runs out or "
    "larger ones are no faster. Nothing is kept."
)


class BatchFinderView(FinderView):
    """Shows the speed and memory of the batch sizes tried, and the suggested one."""

    def __init__(self, trials: Trials, training: Training, theme: ThemeProvider) -> None:
        heading, start = "Find a batch size", "Try batch sizes"
        super().__init__(trials, training, theme, "batch", title=heading, about=_ABOUT, start=start)
        self.speed = Chart(theme, margins=(16, 12, 24))
        self.memory = Chart(theme, x="Batch size (texts, logarithmic)", margins=(16, 12, 24))
        self._limit = pg.InfiniteLine(angle=0, movable=False, label="", labelOpts={"position": 0.12, "movable": False})
        self._dots: list[pg.PlotDataItem] = []
        self._memory_title = label("", "caption")
        titles = label("Tokens per second", "caption"), self._memory_title
        for chart, title, name in ((self.speed, titles[0], "Tokens per second"), (self.memory, titles[1], "Memory")):
            chart.setAccessibleName(f"{name} by batch size")
            chart.setMinimumHeight(110)
            dots = pg.PlotDataItem(symbol="o", symbolSize=7)
            chart.addItem(dots)
            self._dots.append(dots)
            self.charts.addWidget(title)
            self.charts.addWidget(chart, 1)
        self._misses = pg.PlotDataItem(pen=None, symbol="x", symbolSize=10)
        self.memory.addItem(self._misses)
        self.memory.addItem(self._limit)
        for chart in (self.speed, self.memory):
            chart.getPlotItem().setLogMode(x=True)  # applies only to items added before
        theme.theme_changed.connect(self._restyle)
        self._restyle()
        self.show_state()

    def _spec_tried(self, state: TrialState) -> RunSpec | None:
        return state.batch_of

    def _has_points(self, state: TrialState) -> bool:
        return bool(state.batch_points)

    def _draw(self, state: TrialState) -> None:
        points = state.batch_points
        fitting = [point for point in points if point.fits]
        sizes = np.array([point.batch_size for point in fitting], float)
        speeds = np.array([point.tokens_per_s or math.nan for point in fitting])
        peaks = np.array([point.peak_bytes or math.nan for point in fitting])
        unit, sign = size_unit(max(np.nanmax(peaks, initial=0.0), 2**20))
        self._memory_title.setText(f"Memory ({sign})")
        ends = (0.0, math.log10(max((point.batch_size for point in points), default=2) or 2) or 0.3)
        for chart, dots, values in ((self.speed, self._dots[0], speeds), (self.memory, self._dots[1], peaks / unit)):
            known = np.isfinite(values)
            dots.setData(sizes[known], values[known])
            chart.show_scales(len(fitting) > 1)
            chart.show_range(ends, (0.0, float(values[known].max(initial=0.0)) * 1.1 or 1.0))
        self._draw_limit(points, state.batch, float(np.nanmax(peaks, initial=0.0)), unit, ends)

    def _draw_limit(
        self, points: Sequence[BatchPoint], found: BatchFound | None, top: float, unit: int, ends: tuple[float, float]
    ) -> None:
        """Draw the batch sizes that did not fit, and the memory limit."""
        misses = [point.batch_size for point in points if not point.fits]
        limit = found.limit_bytes if found is not None else None
        self._limit.setVisible(limit is not None and bool(misses))
        height = top
        if limit is not None and misses:
            height = limit
            self._limit.setValue(limit / unit)
            self._limit.label.setFormat(f"limit: {format_size(limit)}")
            self.memory.show_range(ends, (0.0, max(limit, top) / unit * 1.15))
        self._misses.setData(np.array(misses, float), np.full(len(misses), height / unit))

    def _result_text(self, state: TrialState) -> str:
        found = state.batch
        if found is None:
            return ""
        if found.batch_size is None:
            return "Not even one text at a time fits: use a shorter context or a smaller model."
        limit = (
            f"{found.largest:,} is the largest that fits."
            if found.largest is not None
            else "All sizes that were tried fit."
        )
        fast = f"From {found.fastest:,} on, larger batches are hardly faster. " if found.fastest is not None else ""
        if _is_in_use(state):
            at_once = found.batch_size * found.grad_accum_steps
            return (
                f"{fast}{limit} This run learns from {format_count(at_once, 'text')} per update: its batch size is "
                "right."
            )
        tried = state.batch_of
        wanted = tried.train.batch_size * tried.train.grad_accum_steps if tried is not None else 0
        texts = found.batch_size * found.grad_accum_steps
        if texts == wanted:
            return f"{fast}{limit} Accumulation keeps the number of texts per update."
        return f"{fast}{limit} An update would read {texts:,} texts instead of {wanted:,}."

    def _show_use(self, state: TrialState, *, running: bool) -> None:
        changes = _changes(state)
        self.use.setVisible(bool(changes) and not running and not _is_in_use(state))
        if changes:
            size, accum = changes["batch_size"], changes["grad_accum_steps"]
            self.use.setText(f"Use {size:,} × {accum:,}" if accum > 1 else f"Use {size:,}")
            self.use.setToolTip(f"Batches of {size:,} texts, {accum:,} per update")

    def _on_use(self) -> None:
        changes = _changes(self._trials.state)
        if changes:
            self.chosen.emit(changes)

    @Slot()
    def _restyle(self) -> None:
        theme = self._theme
        for dots, role in zip(self._dots, ("accent", "info"), strict=True):
            dots.setPen(theme.pen(role, width=1.5))
            dots.setSymbolBrush(theme.theme.color(role))
            dots.setSymbolPen(theme.pen(role))
        self._misses.setSymbolBrush(theme.theme.color("danger"))
        self._misses.setSymbolPen(theme.pen("danger"))
        self._limit.setPen(theme.pen("danger", alpha=0.7))
        self._limit.label.setColor(theme.theme.muted)


def _is_in_use(state: TrialState) -> bool:
    """Return whether the run that was tried already has the suggested settings."""
    tried = state.batch_of
    return tried is not None and all(getattr(tried.train, name) == value for name, value in _changes(state).items())


def _changes(state: TrialState) -> dict[str, int]:
    """Return the suggested settings, {} if there are none: a batch size that fits and is fast, with accumulation."""
    found = state.batch
    if found is None or found.batch_size is None:
        return {}
    return {"batch_size": found.batch_size, "grad_accum_steps": found.grad_accum_steps}
