"""The view of a learning-rate trial: loss by learning rate, and the suggested rate."""

from __future__ import annotations

import math

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import Qt, Slot

from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.new_run.trials.finder_view import FinderView
from terrarium.app.new_run.trials.trials import Trials, TrialState
from terrarium.app.plots.plot_spec import Band, PlotSpec, Series
from terrarium.app.plots.plot_view import PlotView
from terrarium.app.session.training import Training
from terrarium.models.settings.optimizers import OPTIMIZERS
from terrarium.models.settings.run_spec import RunSpec, TrainConfig
from terrarium.models.settings.tasks import TASKS

_ABOUT = (
    "A short trial on this run's own data, in which the learning rate grows with every step. The loss falls at "
    "useful rates, and rises again where they are too large. Nothing is kept."
)
_KEYS = "Left and right read values, Return chooses a rate, plus and minus zoom, Escape shows everything."
_OWNERS = {name: rule.title for rule in OPTIMIZERS.values() for name in rule.lr_names if name != "lr"}
"""Learning rates other than `lr` -> the optimizer that they belong to."""


class LrFinderView(FinderView):
    """Shows the loss by learning rate; the user can click, drag or press Return to choose another one."""

    def __init__(self, trials: Trials, training: Training, theme: ThemeProvider) -> None:
        title, start = "Find a learning rate", "Try learning rates"
        super().__init__(trials, training, theme, "lr", title=title, about=_ABOUT, start=start)
        self._choice: float | None = None
        self._suggested: float | None = None
        self.plot = PlotView(theme, role="caption", keys=_KEYS, margins=(6, 6, 6))
        self.plot.set_name("Loss by learning rate")
        self._line = pg.InfiniteLine(angle=90, movable=True, label="", labelOpts={"position": 0.92})
        self._line.setCursor(Qt.CursorShape.SizeHorCursor)
        self.plot.chart.addItem(self._line)
        self._line.sigPositionChanged.connect(self._on_dragged)
        self.plot.chosen.connect(lambda i: self.choose(self._trials.state.lr_points[i].lr))
        self.charts.addWidget(self.plot, 1)
        theme.theme_changed.connect(self._restyle)
        self._restyle()
        self.show_state()

    @property
    def choice(self) -> float | None:
        """The chosen rate, at first the suggested one; None without a result."""
        return self._choice

    def choose(self, rate: float) -> None:
        """Choose a rate, limited to the range tried and rounded to two digits."""
        points = self._trials.state.lr_points
        if points:
            rate = min(max(rate, points[0].lr), points[-1].lr)
            self._choice = float(f"{rate:.2g}")
            self._show_line()
            self._show_use(self._trials.state, running=False)

    def _spec_tried(self, state: TrialState) -> RunSpec | None:
        return state.lr_of

    def _has_points(self, state: TrialState) -> bool:
        return bool(state.lr_points)

    def _draw(self, state: TrialState) -> None:
        task = state.lr_of.data.task if state.lr_of is not None else "language"
        rates = np.array([point.lr for point in state.lr_points])
        smoothed = np.array([point.smoothed for point in state.lr_points])
        losses = np.array([point.loss for point in state.lr_points])
        train = state.lr_of.train if state.lr_of is not None else TrainConfig()
        name = f"Loss ({TASKS[task].loss_unit})"
        self.plot.set_title(name)
        ends: tuple[float, float] = (1e-5, 1.0)
        heights: tuple[float, float] = (0.0, 1.0)
        if len(rates) > 1:
            low = float(min(smoothed.min(), losses.min()))  # the smoothed loss lags behind while the loss falls fast
            high = float(max(smoothed[0], low * 1.2))
            margin = 0.08 * (high - low)
            ends, heights = (rates[0], train.optimizer_info.lr_range[1]), (max(0.0, low - margin), high + margin)
        found = state.lr
        bands: list[Band] = []
        if found is not None and found.low is not None and found.high is not None:
            bands = [Band(low=found.low, high=found.high, name="useful rates", is_vertical=True)]
        self.plot.show_spec(
            PlotSpec(
                series=(
                    Series(x=rates, y=losses, name="Loss", alpha=0.3, in_legend=False),
                    Series(x=rates, y=smoothed, name="Smoothed loss", width=2, in_legend=False),
                ),
                bands=bands,
                x_title=_axis_title(train),
                y_title=name,
                x_range=ends,
                y_range=heights,
                is_log_x=True,
                at=rates,
                words=lambda i: f"{rates[i]:.2g}: {losses[i]:.3f}, smoothed {smoothed[i]:.3f}",
            )
        )
        suggested = found.suggestion if found is not None else None
        if suggested != self._suggested:
            self._suggested = self._choice = suggested
        self._show_line()

    def _result_text(self, state: TrialState) -> str:
        found = state.lr
        if found is None:
            return ""
        if found.suggestion is None:
            return "The loss hardly fell at any rate, so there is no suggestion: check the data and the design."
        end = " Beyond the last rate shown, the loss exploded." if found.exploded else ""
        return (
            f"The smoothed loss falls most steeply at {found.suggestion:g}, and well in the shaded range from "
            f"{found.low:.1g} to {found.high:.1g}. This is a rough estimate: rates within a factor of two or "
            f"three do much the same.{end}"
        )

    def _show_use(self, state: TrialState, *, running: bool) -> None:
        self.use.setVisible(self._choice is not None and not running)
        if self._choice is None:
            return
        changes = self._changes(state)
        others = "".join(f" and {rate:.2g} for {_OWNERS[name]}" for name, rate in changes.items() if name in _OWNERS)
        self.use.setText(f"Use {self._choice:g}")
        self.use.setToolTip(f"Put the learning rate {self._choice:g}{others} into this run's settings")

    def _changes(self, state: TrialState) -> dict[str, float]:
        assert self._choice is not None
        ratios = state.lr.ratios if state.lr is not None else {}
        return {"lr": self._choice, **{name: float(f"{self._choice * ratio:.2g}") for name, ratio in ratios.items()}}

    def _on_use(self) -> None:
        if self._choice is not None:
            self.chosen.emit(self._changes(self._trials.state))

    def _show_line(self) -> None:
        self._line.setVisible(self._choice is not None)
        if self._choice is not None:
            self._line.blockSignals(True)
            self._line.setValue(math.log10(self._choice))
            self._line.blockSignals(False)
            self._line.label.setFormat(f"{self._choice:g}")

    @Slot()
    def _on_dragged(self) -> None:
        self.choose(10 ** float(self._line.value()))

    @Slot()
    def _restyle(self) -> None:
        theme = self._theme
        self._line.setPen(theme.pen("text", width=1.5))
        self._line.setHoverPen(theme.pen("text", width=2.5))
        self._line.label.setColor(theme.theme.text)
        self._line.label.fill = pg.mkBrush(theme.theme.color("surface"))
        self._line.label.setFont(theme.font(bold=True))


def _axis_title(train: TrainConfig) -> str:
    """Return the title of the x axis, with the optimizer that `lr` belongs to."""
    return f"Learning rate (of {train.optimizer_info.lr_of}, logarithmic)"
