"""What a chart shows, as plain data: its series, reference lines, bands and axes; all its numbers, and a summary."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from terrarium.app.kit.chart_export import Columns
from terrarium.app.plots.curve_points import Floats
from terrarium.models.number_words import with_minus

Heights = Callable[[float, float], tuple[float, float]]
"""A function (first x, last x) -> the y range of that part of the chart."""
Kind = Literal["line", "dots", "joined", "bars", "none"]

NONE = np.empty(0)
_MOST_IN_SUMMARY = 12
"""Up to this many series are summarized, each in a sentence; a screen reader would take minutes for more."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Series:
    """Points of a chart.

    Args:
        x, y: (n,); non-finite values are gaps.
        kind: "line", "dots", "joined" (dots on a line), "bars", or "none" (only read and exported: the chart draws it
            itself).
        name: in the legend, the summary and the export. tip: its explanation.
        role: its colour: a field of the theme, or the index of a category colour.
        style: a key of LINE_STYLES, which names a pattern of bars too. width: of the line, in pixels; lines wider
            than 1 are antialiased.
        alpha: the opacity of line and intervals.
        symbol: of the dots: o, d (diamond), x, star … size: of the dots, in pixels.
        low, high: (n,), the ends of the intervals of y, NaN if unknown. x_low, x_high: of x.
        star: the index of a point that is marked by a star.
        labels: (n,), the names of the points, drawn beside them, "" for none.
        wide: the width of bars, in x. is_filled: whether the area below the line is filled, down to zero.
        in_legend: whether the legend shows its name.
        sets_range: whether the y axis shows all of it.
    """

    x: Floats
    y: Floats
    kind: Kind = "line"
    name: str = ""
    tip: str = ""
    role: str | int = "accent"
    style: str = "solid"
    width: float = 1.0
    alpha: float = 1.0
    symbol: str = "o"
    size: float = 7
    low: Floats | None = None
    high: Floats | None = None
    x_low: Floats | None = None
    x_high: Floats | None = None
    star: int | None = None
    labels: Sequence[str] = ()
    wide: float = 0.8
    is_filled: bool = False
    in_legend: bool = True
    sets_range: bool = True


Numbers = NDArray[np.floating[Any]] | NDArray[np.integer[Any]]


def main_curve(x: Numbers, y: Numbers, name: str = "") -> Series:
    """Return the line that a chart is about."""
    return Series(x=_exact(x), y=_exact(y), name=name, width=1.8)


def other_curve(x: Numbers, y: Numbers, name: str = "") -> Series:
    """Return a line for comparison."""
    return Series(x=_exact(x), y=_exact(y), name=name, role="muted", style="dashed", width=1.2)


def background_curve(x: Numbers, y: Numbers, name: str) -> Series:
    """Return one of many lines behind another."""
    return Series(x=_exact(x), y=_exact(y), name=name, role="faint", alpha=0.6, in_legend=False)


def as_steps(x: Numbers, y: Numbers) -> tuple[Floats, Floats]:
    """Return points (2 n - 1,) at which a line through (n,) points becomes a step function."""
    return np.repeat(_exact(x), 2)[1:], np.repeat(_exact(y), 2)[:-1]


def _exact(values: Numbers) -> Floats:
    return values.astype(np.float64)


@dataclass(frozen=True, kw_only=True)
class Goal:
    """A labelled line at a value of y, or of x if `is_vertical`; NaN hides it. tip: its explanation.

    at_left: whether the label of a horizontal line is at its left end, where it covers no curve.
    """

    value: float
    name: str = ""
    tip: str = ""
    is_vertical: bool = False
    role: str = "faint"
    at_left: bool = False


@dataclass(frozen=True, kw_only=True)
class Band:
    """A shaded range of y, or of x if `is_vertical`. name: in the legend."""

    low: float
    high: float
    name: str = ""
    is_vertical: bool = False
    role: str = "accent_soft"
    alpha: float = 0.8


@dataclass(frozen=True, kw_only=True, eq=False)
class PlotSpec:
    """All that a PlotView shows.

    Args:
        title: the heading; "" for that of the view.
        x_title, y_title: the axes' titles, with units.
        x_range: the ends of the x axis; None: those of the points.
        y_range: those of the y axis, or a function that returns them for a part; None: those of the points, and zero.
        x_names, y_names: ticks (value, label); () for ticks at round numbers.
        is_log_x: whether the x axis is logarithmic; x below the start of `x_range` is drawn there.
        can_log: whether the user may choose a logarithmic y axis.
        arrows: from and to, as indices of places with `heights`.
        marks: x of dashed lines. ticks: x of ticks at the bottom.
        at: (n,), the x of the places that the pointer and the keys read, in order; None: every x of a series.
        heights: (n,), their y: the place that is near in both directions is read, and ringed.
        words: describes a place by its index; None: the values of all series there.
        whole_words: the read-out without a pointer. message: a text in the middle of an empty chart.
    """

    series: Sequence[Series] = ()
    goals: Sequence[Goal] = ()
    bands: Sequence[Band] = ()
    arrows: Sequence[tuple[int, int]] = ()
    title: str = ""
    x_title: str = ""
    y_title: str = ""
    x_range: tuple[float, float] | None = None
    y_range: tuple[float, float] | Heights | None = None
    x_names: Sequence[tuple[float, str]] = ()
    y_names: Sequence[tuple[float, str]] = ()
    is_log_x: bool = False
    can_log: bool = False
    marks: Sequence[float] = ()
    ticks: Sequence[float] = ()
    at: Floats | None = None
    heights: Floats | None = None
    words: Callable[[int], str] | None = None
    whole_words: str = ""
    message: str = ""

    # -- Numbers ----------------------------------------------------------------------------------------

    def columns(self) -> Columns:
        """Return all numbers, for an export: x, y and interval ends of each series, padded to the longest."""
        found: dict[str, Any] = {}
        longest = max((len(each.x) for each in self.series), default=0)
        for i, each in enumerate(self.series):
            name = each.name or self.y_title or "value"
            name = f"{name} ({i + 1})" if f"{name}, x" in found else name
            ends = (("low", each.low), ("high", each.high), ("x low", each.x_low), ("x high", each.x_high))
            for what, values in (("x", each.x), ("y", each.y), *ends):
                if values is not None:
                    padded = np.full(longest, math.nan)
                    padded[: len(values)] = values
                    found[f"{name}, {what}"] = padded
            if any(each.labels):
                found[f"{name}, label"] = [*each.labels, *[None] * (longest - len(each.labels))]
        for goal in self.goals:
            if math.isfinite(goal.value):
                found[goal.name or "line"] = np.full(longest, goal.value)
        return found

    def shown_range(self) -> tuple[float, float]:
        """Return the ends of the x axis."""
        if self.x_range is not None:
            return self.x_range
        ends = [(x := each.x[np.isfinite(each.x)]).size and (x.min(), x.max()) for each in self.series]
        known = [end for end in ends if end]
        if not known:
            return 0.0, 1.0
        low, high = min(float(end[0]) for end in known), max(float(end[1]) for end in known)
        half = max((each.wide / 2 for each in self.series if each.kind == "bars"), default=0.0)
        return (low - half, high + half) if high + half > low - half else (low - 0.5, low + 0.5)

    def places(self) -> Floats:
        """Return the x of the places that can be read, in order."""
        if self.at is not None:
            return self.at
        every = [each.x[np.isfinite(each.y)] for each in self.series]
        return np.unique(np.concatenate(every)) if every else NONE

    def y_between(self, first: float, last: float, *, above_zero: bool = False) -> tuple[float, float]:
        """Return the y range of the part between two x: `y_range`, or that of the points and zero.

        Args:
            above_zero: for a logarithmic axis, leave out what is not positive.
        """
        values = self.values_between(first, last) if self.y_range is None or above_zero else NONE
        if self.y_range is None:
            low, high = float(values.min(initial=0.0)), float(values.max(initial=0.0))
            low, high = (low, high) if high > low else (0.0, 1.0)
        else:
            low, high = self.y_range(first, last) if callable(self.y_range) else self.y_range
        if above_zero and low <= 0:
            low = float(values[values > 0].min()) if (values > 0).any() else max(high, 1e-300) / 10
        return low, max(high, 2 * low) if above_zero else high

    def values_between(self, first: float, last: float) -> Floats:
        """Return all finite y of the series that set the range, and of their intervals, between two x."""
        shown = [NONE]
        slack = 1e-9 * (1 + abs(last - first))
        for each in self.series:
            if each.sets_range:
                inside = (each.x >= first - slack) & (each.x <= last + slack)
                shown += [ends[inside] for ends in (each.y, each.low, each.high) if ends is not None]
        values = np.concatenate(shown)
        return values[np.isfinite(values)]

    # -- Words ------------------------------------------------------------------------------------------

    def describe(self, i: int) -> str:
        """Describe the place with index `i`."""
        if self.words is not None:
            return self.words(i)
        x = float(self.places()[i])
        values = (self._value_at(each, x) for each in self.series)
        return f"{self._name_x(x)}: {', '.join(value for value in values if value)}"

    def _name_x(self, x: float) -> str:
        names = dict(self.x_names)
        if x in names:
            return names[x]
        return f"{self.x_title} {short_number(x)}".strip()

    def _value_at(self, each: Series, x: float) -> str:
        at = np.flatnonzero((each.x == x) & np.isfinite(each.y))
        if not len(at):
            return ""
        return f"{each.name} {_with_interval(each, int(at[0]))}".strip()

    def summary(self) -> str:
        """Describe the chart in words: what is plotted, the range of x, and of each series its ends and extremes."""
        known = [each for each in self.series if np.isfinite(each.y).any()]
        if not known:
            return self.message or "Nothing is drawn yet."
        first, last = self.shown_range()
        axes = " by ".join(filter(None, (self.y_title or "Values", self.x_title)))
        across = f", from {short_number(first)} to {short_number(last)}" if not self.x_names else ""
        sentences = [f"{axes}{across}.", *(_summary_of(each) for each in known[:_MOST_IN_SUMMARY])]
        if len(known) > _MOST_IN_SUMMARY:
            sentences.append(f"And {len(known) - _MOST_IN_SUMMARY} more series.")
        sentences += [f"Line: {goal.name}." for goal in self.goals if goal.name and math.isfinite(goal.value)]
        sentences += [
            f"{band.name[:1].upper()}{band.name[1:]}: {short_number(band.low)} to {short_number(band.high)}."
            for band in self.bands
            if band.name
        ]
        return " ".join(sentences)


def short_number(value: float) -> str:
    """Format a number with up to four digits, “–” if it is not finite."""
    if not math.isfinite(value):
        return "–"
    if abs(value) >= 1000 or value == round(value):
        return with_minus(f"{value:,.0f}")
    return with_minus(f"{value:.4g}")


def _with_interval(each: Series, i: int) -> str:
    words = short_number(float(each.y[i]))
    if each.low is None or each.high is None or not (np.isfinite(each.low[i]) and np.isfinite(each.high[i])):
        return words
    return f"{words} ({short_number(float(each.low[i]))} to {short_number(float(each.high[i]))})"


def _summary_of(each: Series) -> str:
    """Return the ends and extremes of a series with at least one finite value, in a sentence."""
    known = np.flatnonzero(np.isfinite(each.y))
    name = each.name or "Values"
    name = f"{name[0].upper()}{name[1:]}"
    if len(known) == 1:
        return f"{name}: {_with_interval(each, int(known[0]))}."
    y = each.y[known]
    lowest, highest = int(known[np.argmin(y)]), int(known[np.argmax(y)])
    parts: Iterable[tuple[str, int]] = (
        ("first", int(known[0])),
        ("last", int(known[-1])),
        ("lowest", lowest),
        ("highest", highest),
    )
    words = ", ".join(f"{what} {_with_interval(each, i)}" for what, i in parts)
    return f"{name}: {len(known):,} points, {words}."
