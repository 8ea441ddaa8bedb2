"""A chart of one or several figures of an alignment run over its steps, with their definitions and alerts."""

from __future__ import annotations

import html
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QFontMetrics
from PySide6.QtWidgets import QVBoxLayout, QWidget

from terrarium.app.kit.basics import label, plain_tip, row, set_role
from terrarium.app.kit.help_mark import HelpMark
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.plots import plot_spec
from terrarium.app.plots.curve_points import SMOOTHING, Floats, moving_average
from terrarium.app.plots.plot_spec import Band, Goal, PlotSpec
from terrarium.app.plots.reference_line import ReferenceLine
from terrarium.app.run_views.curves.run_chart import RunChart, finite_between, span_of
from terrarium.app.run_views.curves.small_chart import format_number
from terrarium.app.session.run_history import FIGURE_COLUMNS
from terrarium.models.alignment.figures import about, figure_of, overfitting_of
from terrarium.models.number_words import with_minus
from terrarium.models.runs.curve import Table

_DOT = "●"
_UNITS = {"s": "seconds per step"}
"""Units in words, if their symbol is ambiguous."""
_NOT_YET = "The curve starts with the first steps."
_HIGHEST_BAND = 4.0
"""The y axis includes the whole healthy range if its top is at most this many times the top of the values."""
_NOTHING = Table(FIGURE_COLUMNS)
_TERMS: Mapping[str, str] = MappingProxyType(
    {
        "gold": "Reward hacking",
        "pass@": "Pass@k",
        "accuracy": "Reward model",
        "confidence": "Reward model",
        "margin": "Reward model",
        "spearman_length": "Reward model",
        "min_reward": "Reward model",
        "mean_reward": "Reward model",
        "max_reward": "Reward model",
        "rewards/": "DPO",
        "logps/": "DPO",
        "kl": "KL divergence",
        "objective/kl": "KL divergence",
        "objective/entropy": "Entropy",
        "entropy": "Entropy",
        "policy/": "PPO",
        "val/": "PPO",
        "loss/": "PPO",
        "objective/": "PPO",
        "frac_reward_zero_std": "GRPO",
        "reward_std": "GRPO",
    }
)
"""Glossary terms of figures, by a prefix of the figure's name; the first match counts."""


@dataclass(frozen=True, kw_only=True)
class Series:
    """A figure in a chart. role: its colour, a field of the theme. title: its name here, "" for the figure's own."""

    name: str
    role: str = "info"
    title: str = ""

    @property
    def words(self) -> str:
        """The name in this chart."""
        return self.title or figure_of(self.name).title


class FigureMark(HelpMark):
    """A “?” whose tooltip defines the figures of a chart; a click explains their glossary term."""

    def __init__(self, series: Sequence[Series]) -> None:
        self._words = "\n\n".join(f"{each.words}: {about(each.name)}" for each in series)
        super().__init__(_term_of(series[0].name))

    def explain(self, term: str) -> None:
        super().explain(term)
        self.setToolTip(plain_tip(self._words))


class FigureChart(RunChart):
    """Figures of `history.figures`: raw values (thin), smoothed (thick), and values on validation prompts (dots).

    Args:
        series: figures of the same unit, on one y axis.
        stacked: draw them as stacked areas instead of lines.
        tall: whether the chart is large, with an x axis and keyboard control.
        explained: whether a line below the title explains the first figure in plain words.

    Signals:
        step_asked(step): the user clicked the chart at this step.
    """

    step_asked = Signal(int)

    def __init__(
        self,
        theme: ThemeProvider,
        series: Sequence[Series],
        *,
        stacked: bool = False,
        tall: bool = False,
        explained: bool = False,
    ) -> None:
        self.series, self._stacked = tuple(series), stacked
        self._figure = figure_of(series[0].name)
        self.captions = [label("", "subheading" if i == 0 else "small") for i in range(len(series))]
        for caption in self.captions:
            caption.setTextFormat(Qt.TextFormat.RichText)
        titles = QWidget()
        titles.setLayout(row(*self.captions, FigureMark(series), spacing=SPACE))
        self._reference = Goal(value=math.nan)
        self._points: list[tuple[Floats, Floats]] = []
        super().__init__(theme, titles, has_legend=tall)
        self.plain = ElidedLabel()  # a label that wraps would make the layout give charts their preferred height
        self.plain.setProperty("role", "caption")
        self.plain.setText(self._figure.plain if explained else "")
        self.plain.setVisible(bool(self.plain.text()))
        below = self.layout()
        assert isinstance(below, QVBoxLayout)
        below.insertWidget(1, self.plain)
        self._tall = tall
        if len(self.series) > 1 and not tall:
            self.read_out.setMinimumWidth(1)  # the captions show the values; do not take width from other charts
        self._scale = 100.0 if self._figure.unit == "share" else 1.0
        unit = _UNITS.get(self._figure.unit, self._figure.unit)
        self.show_unit(unit if self._scale != 100 else "%" if len(self.series) == 1 else "")
        self.alert = label("look", "pill")
        set_role(self.alert, "pill", tone="warning")
        self.head.addWidget(self.alert)
        self.alert.hide()
        self.alerts: dict[str, str] = {}
        self.smoothing = SMOOTHING
        self.set_name(" and ".join(each.words for each in series))
        self.show_x(shown=tall)
        for each, caption in zip(series, self.captions, strict=True):
            caption.setToolTip(plain_tip(about(each.name)))
        self.chosen.connect(lambda row: self.step_asked.emit(int(self.history.train["step"][row])))
        self.redraw()

    def sizeHint(self) -> QSize:
        return QSize(560, 240) if self._tall else QSize(240, 110)

    def set_smoothing(self, amount: float) -> None:
        """Set the smoothing of the thick lines, from 0 (none) to 1: see `moving_average`."""
        self.smoothing = amount
        self.redraw()

    def show_alerts(self, said: Mapping[str, str]) -> None:
        """Show the chart's own alerts and those of the doctor, whose messages `said` maps from figure names."""
        own = [said[each.name] for each in self.series if each.name in said]
        own += [f"{name}: {says}" for name, says in self.alerts.items()]
        self.alert.setVisible(bool(own))
        self.alert.setToolTip(plain_tip("\n".join(own)))

    def show_reference(self, value: float, words: str, tip: str) -> None:
        """Draw a labelled line at a value; NaN hides it."""
        self._reference = Goal(value=self._scale * value, name=words, tip=tip)
        self.redraw()

    @property
    def reference(self) -> ReferenceLine:
        """The labelled line."""
        return self.goal_lines[0]

    @property
    def is_known(self) -> bool:
        """Whether the run has recorded any of the figures."""
        return any((each.name, of) in self.history.figures for each in self.series for of in (False, True))

    def _tables(self, series: Series) -> tuple[Table, Table]:
        figures = self.history.figures
        return figures.get((series.name, False), _NOTHING), figures.get((series.name, True), _NOTHING)

    def _spec(self) -> PlotSpec:
        below: Floats | float = 0.0
        self.alerts, self._points = {}, []
        drawn: list[plot_spec.Series] = []
        thick = bool(self.smoothing) and not self._stacked
        for series, caption in zip(self.series, self.captions, strict=True):
            steps, held_out = self._tables(series)
            x, values = self.axis.of_rows(steps), self._scale * steps["value"]
            if self._stacked:
                values = values + below if np.shape(below) in ((), values.shape) else values
                below = values
            x_val, dots = self.axis.of_rows(held_out), self._scale * held_out["value"]
            smoothed = moving_average(values, self.smoothing) if thick else values
            drawn += [
                plot_spec.Series(
                    x=x_val,
                    y=dots,
                    kind="dots" if len(steps) else "joined",
                    name=f"{series.words}, validation",
                    role=series.role,
                    alpha=0.5,
                    in_legend=self._tall and len(held_out) > 0,
                ),
                plot_spec.Series(
                    x=x,
                    y=smoothed,
                    kind="line" if thick else "none",
                    name=f"{series.words}, smoothed",
                    role=series.role,
                    width=1.5,
                    in_legend=False,
                ),
                plot_spec.Series(
                    x=x,
                    y=values,
                    name=series.words,
                    role=series.role,
                    alpha=0.35 if thick else 1.0,
                    is_filled=self._stacked,
                    in_legend=False,
                ),
            ]
            self._points += [(x, values), (x_val, dots)]
            if says := overfitting_of(series.name, steps["value"], held_out["value"]):
                self.alerts[series.words] = says
            caption.setVisible(len(self.series) == 1 or len(steps) + len(held_out) > 0)
        return PlotSpec(
            series=drawn[::-1],  # stacked areas reach down to zero, so the lower ones are in front
            goals=(self._reference,),
            bands=self._healthy(),
            y_title=self._name,
            x_range=(0.0, self._length()),
            y_range=self._fitted,
            message="" if self.is_known or not self._tall else self.history.empty_caption or _NOT_YET,
        )

    def _healthy(self) -> list[Band]:
        low, high = self._figure.low, self._figure.high
        if low is None or high is None:
            return []
        return [Band(low=self._scale * low, high=self._scale * high, name="healthy")]

    def _free(self) -> tuple[int, int, int]:
        has_name = math.isfinite(self._reference.value)
        return 6, QFontMetrics(self._theme.font(0.9)).height() + 2 if has_name else 6, 6

    def _fitted(self, first: float, last: float) -> tuple[float, float]:
        whole = self.chart.window is None
        values = np.concatenate([finite_between(x, y, first, last) for x, y in self._points])
        if len(values) and values.min() < 0:
            low, high = self._span_below_zero(values, whole=whole)
        else:
            low, high = span_of(values, whole=whole)
        low = max(low, self._scale * self._figure.floor)
        if not whole:
            return low, max(high, low + 1e-9)
        top, band = high, self._scale * (self._figure.high or 0.0)
        if band <= _HIGHEST_BAND * high:
            top = max(top, band)
        if math.isfinite(self._reference.value):
            top = max(top, self._reference.value)
        return low, top

    def _span_below_zero(self, values: Floats, *, whole: bool) -> tuple[float, float]:
        """Return the y range of partly negative values: with zero for a whole run, unless all are far from it."""
        low, high = float(values.min()), float(values.max())
        margin = 0.05 * (high - low) or 0.05 * abs(low)
        is_far = high < 0 and high - low < abs(high)
        return (low - margin, high + margin) if is_far or not whole else (low, max(high, 0.0))

    # -- Text ------------------------------------------------------------------------------------------

    def _read_out_text(self, row: int | None) -> str:
        values = [self._value_text(series, row) for series in self.series]
        held_out = ", ".join(filter(None, (self._value_text(series, row, held_out=True) for series in self.series)))
        if not self._tall:
            held_out = "" if any(values) else held_out
        words = f"validation {held_out}" if held_out and self._tall else held_out
        if len(self.series) == 1:
            self._show_captions([""])
            return "   ".join(filter(None, (values[0], words))) or "–"
        self._show_captions(values)
        return words

    def _show_captions(self, values: Sequence[str]) -> None:
        colors = self._theme.theme
        for series, caption, value in zip(self.series, self.captions, values, strict=True):
            dot = f'<span style="color: {getattr(colors, series.role)}">{_DOT}</span> ' if len(self.series) > 1 else ""
            caption.setText(f"{dot}{html.escape(series.words)}{f'&nbsp; {value}' if value else ''}")

    def _value_text(self, series: Series, row: int | None, *, held_out: bool = False) -> str:
        """Format the latest value at or before a row of `history.train` (None: the last row); "" if there is none."""
        step = math.inf if row is None else float(self.history.train["step"][row])
        table = self._tables(series)[held_out]
        before = int(np.searchsorted(table["step"], step, side="right")) - 1
        return self._format(float(table["value"][before])) if before >= 0 else ""

    def _format(self, value: float) -> str:
        if self._scale == 100:
            return f"{format_number(100 * value, '.0f')} %"
        if 0 < abs(value) < 0.001:
            return with_minus(np.format_float_positional(value, precision=1, fractional=False, trim="-"))
        value = value or 0.0  # avoids “−0”
        return format_number(value, ",.0f" if abs(value) >= 100 else ".3g")

    def restyle(self) -> None:
        super().restyle()
        self.show_point(self.index)  # its captions have colours


def _term_of(name: str) -> str:
    """Return the glossary term of a figure."""
    return next((term for start, term in _TERMS.items() if name.startswith(start)), "RLHF")


_HEADLINES = ("reward", "objective/scores", "rewards/margins", "accuracy")
"""Figures of the objective, by stage: a run's first tall chart shows the first of these that it has."""
_BESIDE = {"accuracy": "confidence"}
"""Figures drawn in the chart of another: a reward model is calibrated if its confidence equals its accuracy."""
KL = ("kl", "objective/kl")
"""Figures of the distance from the parent, by stage: a tall chart shows the first of these that a run has."""
_SECONDS = (
    Series(name="seconds/rollout", role="info"),
    Series(name="seconds/score", role="accent"),
    Series(name="seconds/update", role="validation"),
)
_SMALL = (
    ("frac_reward_zero_std",),
    ("entropy",),
    ("completions/mean_length",),
    ("completions/clipped_ratio",),
    ("pass@1", "pass@8"),
    ("completions/distinct",),
    ("rollouts_per_s",),
    ("reward_std",),
    ("reward_disagreement",),
    ("rewards/chosen", "rewards/rejected"),
    ("rewards/accuracies",),
    ("logps/chosen_change", "logps/rejected_change"),
    ("logps/chosen", "logps/rejected"),
    ("margin",),
    ("spearman_length",),
    ("max_reward", "mean_reward", "min_reward"),
    ("objective/scores", "objective/rlhf_reward"),
    ("objective/non_score_reward",),
    ("policy/approxkl_avg",),
    ("policy/clipfrac_avg",),
    ("val/ratio",),
    ("val/explained_variance",),
    ("loss/value_avg",),
    ("loss/policy_avg",),
)
"""Figures of each small chart, in the order of the charts; charts of all other figures follow."""
_UNDRAWN = frozenset({"sampling/logp_difference", "held_out/pairs", "held_out/replies"})
"""Figures that are not drawn: they are constant, or nearly zero."""
_ROLES = ("info", "accent", "validation")
"""Colours of the figures in one small chart."""
_LENGTH, _N_FEW = "completions/mean_length", 4
"""The figure beside the objective, gold reward and KL, and the number of charts, if the others are folded away."""


@dataclass(frozen=True)
class ChartPlan:
    """A chart to create: see FigureChart."""

    series: tuple[Series, ...]
    stacked: bool = False


def plan_charts(figures: Collection[str]) -> tuple[list[ChartPlan], list[ChartPlan]]:
    """Plan the tall and the small charts of a run with these figures."""
    names = set(figures)
    head = next((name for name in _HEADLINES if name in names), "")
    tall: list[ChartPlan] = []
    if head:
        beside = [Series(name=name, role="validation") for name in (_BESIDE.get(head, ""),) if name in names]
        tall = [ChartPlan((Series(name=head, role="accent"), *beside))]
        tall += [ChartPlan((Series(name="gold", role="validation"),))] if "gold" in names else []
    tall += [ChartPlan((Series(name=name),)) for name in [n for n in KL if n in names][:1]]
    seconds = tuple(series for series in _SECONDS if series.name in names)
    names -= {each.name for plan in tall for each in plan.series} | {each.name for each in seconds} | _UNDRAWN
    small: list[ChartPlan] = []
    for group in (*_SMALL, *((name,) for name in sorted(names - {n for g in _SMALL for n in g}))):
        known = [name for name in group if name in names]
        series = [
            Series(name=name, role=role, title=name if name.startswith("pass@") else "")
            for name, role in zip(known, _ROLES, strict=False)
        ]
        small += [ChartPlan(tuple(series))] if series else []
    small += [ChartPlan(seconds, stacked=True)] if seconds else []
    return tall, small


def first_charts(tall: list[ChartPlan], small: list[ChartPlan]) -> tuple[list[ChartPlan], int]:
    """Return the (at most) four most important charts, and the number of the others."""
    by_length = sorted(small, key=lambda plan: plan.series[0].name != _LENGTH)  # the reply length first, if known
    few = [*tall, *by_length][:_N_FEW]
    if few and few[-1].series[0].name == _LENGTH:  # upper row: rewards; lower row: length and KL
        few = [*few[:-2], few[-1], few[-2]]
    return few, len(tall) + len(small) - len(few)
