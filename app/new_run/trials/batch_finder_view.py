"""The view of a batch-size trial: speed and memory by batch size, and the suggested size."""

from __future__ import annotations

import math

import numpy as np

from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.new_run.trials.finder_view import FinderView
from terrarium.app.new_run.trials.trials import Trials, TrialState
from terrarium.app.plots.linked_charts import LinkedCharts
from terrarium.app.plots.plot_spec import Goal, PlotSpec, Series
from terrarium.app.plots.plot_view import PlotView
from terrarium.app.session.training import Training
from terrarium.models.number_words import format_count, format_size, size_unit
from terrarium.models.settings.run_spec import RunSpec

_ABOUT = (
    "Batches of 1, 2, 4 … texts are each trained for a few steps on this run's own data, until memory runs out or "
    "larger ones are no faster. Nothing is kept."
)
_MARGINS = (16, 12, 24)


class BatchFinderView(FinderView):
    """Shows the speed and memory of the batch sizes tried, and the suggested one."""

    def __init__(self, trials: Trials, training: Training, theme: ThemeProvider) -> None:
        heading, start = "Find a batch size", "Try batch sizes"
        super().__init__(trials, training, theme, "batch", title=heading, about=_ABOUT, start=start)
        self.speed = PlotView(theme, "Tokens per second", role="caption", has_x=False, margins=_MARGINS, least=110)
        self.memory = PlotView(theme, role="caption", margins=_MARGINS, least=110)
        self.speed.set_name("Tokens per second by batch size")
        self.memory.set_name("Memory by batch size")
        for plot in (self.speed, self.memory):
            self.charts.addWidget(plot, 1)
        self._linked = LinkedCharts((self.speed.chart, self.memory.chart), self)
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
        self.memory.set_title(f"Memory ({sign})")
        ends = (1.0, max([2.0, *(float(point.batch_size) for point in points)]))
        misses = np.array([point.batch_size for point in points if not point.fits], float)
        limit = state.batch.limit_bytes if state.batch is not None and len(misses) else None
        top = float(np.nanmax(peaks, initial=0.0)) if limit is None else limit
        crosses = Series(
            x=misses,
            y=np.full(len(misses), top / unit),
            kind="dots",
            name="does not fit",
            role="danger",
            symbol="x",
            size=10,
        )
        goal = Goal(
            value=math.nan if limit is None else limit / unit,
            name="" if limit is None else f"limit: {format_size(limit)}",
            role="danger",
            at_left=True,
        )
        for plot, values, name, role, others in (
            (self.speed, speeds, "Tokens per second", "accent", ()),
            (self.memory, peaks / unit, f"Memory ({sign})", "info", (crosses,) if len(misses) else ()),
        ):
            known = np.isfinite(values)
            dots = Series(
                x=sizes[known], y=values[known], kind="joined", name=name, role=role, width=1.5, in_legend=False
            )
            highest = float(values[known].max(initial=0.0)) * 1.1 or 1.0
            if others and limit is not None:
                highest = max(highest / 1.1, limit / unit) * 1.15
            plot.show_spec(
                PlotSpec(
                    series=(dots, *others),
                    goals=(goal,) if others else (),
                    x_title="Batch size (texts, logarithmic)",
                    y_title=name,
                    x_range=ends,
                    y_range=(0.0, highest),
                    is_log_x=True,
                )
            )
            plot.chart.show_scales(len(fitting) > 1)

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
