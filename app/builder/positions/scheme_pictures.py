"""Helpers for the pictures of all position schemes: axes, similarity curves, and the formatting of distances."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from terrarium.app.plots.pictures import Axis, Floats, HeatPicture, evenly_spaced, format_number
from terrarium.app.plots.plot_spec import PlotSpec, Series, main_curve, other_curve

Ints = NDArray[np.int64]

MAX_COLUMNS, MAX_ROWS, MAX_TOKENS = 512, 128, 128
"""Maximum numbers of columns and rows in a picture; of more, evenly spaced ones are shown."""
MAX_DISTANCES = 512
"""Maximum number of points of a curve; beyond it, each point is the mean over several distances."""

UNIT_BAR = ((1.0, "1"), (0.0, "0"), (-1.0, "−1"))


@dataclass(frozen=True, kw_only=True, eq=False)
class SchemePictures:
    """The display of a scheme: a text, and a picture above or `beside` another one."""

    words: str
    first: HeatPicture | PlotSpec
    second: HeatPicture | PlotSpec
    beside: bool = False


def similarity_plot(
    title: str, unit: str, length: int, *curves: Callable[[Ints, int], Floats], names: tuple[str, ...] = ("",)
) -> PlotSpec:
    """Return a plot of curves over distances from 0 to length − 1; the first one is the design's own.

    A curve is a function of distances and of the number of distances over which each value is averaged.
    """
    window = 1 if length <= MAX_DISTANCES else -(-length * 2 // MAX_DISTANCES)
    at = np.arange(max(length // window, 1)) * window
    values = [curve(at, window) for curve in curves]
    lowest = min(float(value.min()) for value in values)
    highest = max(1.0, *(float(value.max()) for value in values))

    def describe(i: int) -> str:
        words = [
            f"{format_number(float(value[i]), 3)} {name}".strip() for name, value in zip(names, values, strict=True)
        ]
        where = format_distance(int(at[i])) if window == 1 else f"{at[i]:,} to {at[i] + window - 1:,} tokens apart"
        return "\n".join([f"{where}: {words[0]}", *words[1:]])

    (own, y), *others = zip(names, values, strict=True)
    return curve_plot(
        title,
        [main_curve(at, y, own), *(other_curve(at, value, name) for name, value in others)],
        token_axis("Distance, tokens" + (f" (means over {window:,})" if window > 1 else ""), length),
        Axis(title=unit, low=min(lowest, 0.0), high=highest),
        describe,
    )


def curve_plot(title: str, series: Sequence[Series], x: Axis, y: Axis, words: Callable[[int], str]) -> PlotSpec:
    """Return a plot of curves by distance. words: describes the distance with an index, for the last of the curves."""
    return PlotSpec(
        series=series,
        title=title,
        x_title=x.title,
        x_range=(x.low, x.high),
        x_names=x.ticks,
        y_title=y.title,
        y_range=(y.low, y.high),
        words=words,
    )


def token_axis(title: str, length: int) -> Axis:
    """Return the horizontal axis of tokens 0 to length − 1."""
    return Axis(title=title, low=-0.5, high=length - 0.5)


def token_axis_down(title: str, length: int) -> Axis:
    """Return the vertical axis of tokens, with the first on top."""
    return Axis(title=title, low=length - 0.5, high=-0.5)


def row_axis(title: str, rows: Ints) -> Axis:
    """Return the vertical axis of evenly spaced rows, with the first on top."""
    end = int(rows[-1])
    half = (end + 1) / len(rows) / 2
    return Axis(title=title, low=end + half, high=-half)


def pairs_of(width: int) -> Ints:
    """Return the dimensions to show: all, or evenly spaced pairs of a sine and its cosine."""
    if width <= MAX_ROWS:
        return np.arange(width)
    first = 2 * evenly_spaced(width // 2, MAX_ROWS // 2)
    return np.stack((first, first + 1), axis=1).reshape(-1)


def format_stride(positions: Ints, what: str) -> str:
    """Describe the stride of evenly spaced positions: “, one position in 4”, or "" for all of them."""
    stride = (int(positions[-1]) + 1) / len(positions)
    return f", one {what} in {stride:,.0f}" if stride >= 1.5 else ""


def format_period(period: float) -> str:
    """Format a period: “6.3 tokens”, “1.2 × 10^6 tokens”."""
    if period >= 1e6:
        return f"{period:.1e} tokens".replace("e+0", " × 10^").replace("e+", " × 10^")
    return f"{format_number(period, 1) if period < 100 else format_number(round(period))} tokens"


def format_distance(distance: int) -> str:
    """Format a distance without direction: “3 tokens apart”."""
    return "the same position" if distance == 0 else f"{distance:,} token{'s' if distance != 1 else ''} apart"


def format_signed_distance(distance: int) -> str:
    """Format a distance with its direction: “3 tokens back”."""
    if distance == 0:
        return "the same position"
    return f"{abs(distance):,} token{'s' if abs(distance) != 1 else ''} {'ahead' if distance > 0 else 'back'}"


def format_weight(weight: float) -> str:
    """Format a factor on an attention weight."""
    return format_number(weight, 2) if weight >= 0.1 else f"{weight:.2g}" if weight >= 1e-4 else "almost 0"
