"""What a heat map or a line chart shows, as plain data: numbers, axes and words, without a colour or a widget."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Axis:
    """A side of a chart: its title, the numbers at its ends, and `ticks` (place, words) where not at round numbers."""

    title: str
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...] = ()
    whole: bool = True
    """Only whole numbers mean something."""


@dataclass(frozen=True, kw_only=True, eq=False)
class HeatPicture:
    """A table as colours. Rows go down, columns to the right.

    Args:
        values: (rows, columns); NaN = there is nothing, which is hatched.
        colours: "diverging" (around zero), "sequential" (from zero), "quantity" (no zero).
        low, high: of the colours' ends; what is beyond takes the end's colour.
        bar: (value, words) written along the colour bar.
        describe: what is said of a cell (row, column): a line or a few.
        square: cells are as high as wide.
    """

    title: str
    values: Floats
    x: Axis
    y: Axis
    colours: str
    low: float
    high: float
    bar: tuple[tuple[float, str], ...]
    describe: Callable[[int, int], str]
    square: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class BarPicture:
    """Amounts of things in an order, the first at 1 on the axis x; `describe` says what is to be said of one."""

    title: str
    values: NDArray[np.int64]
    x: Axis
    y: Axis
    describe: Callable[[int], str]


@dataclass(frozen=True, kw_only=True, eq=False)
class Line:
    """One line of a chart. tone: "main", "other" (to compare with: dashed) or "background" (one of many)."""

    values: Floats
    name: str = ""
    tone: str = "main"


@dataclass(frozen=True, kw_only=True, eq=False)
class LinePicture:
    """Lines over common places `at` (n), each with n values; `steps` draws them as stairs."""

    title: str
    at: NDArray[np.int64] | NDArray[np.float64]
    lines: tuple[Line, ...]
    x: Axis
    y: Axis
    describe: Callable[[int], str]
    steps: bool = False


def round_ticks(axis: Axis, most: int) -> list[float]:
    """At most `most` (at least two where they exist) round numbers between the ends of an axis, in order."""
    low, high = sorted((axis.low, axis.high))
    if high <= low:
        return [low]
    step = 10.0 ** math.floor(math.log10((high - low) / max(most, 1)))
    if axis.whole:
        step = max(step, 1.0)
    for factor in (1, 2, 5, 10, 20, 50, 100):
        first, last = math.ceil(low / (step * factor) - 1e-9), math.floor(high / (step * factor) + 1e-9)
        if last - first + 1 <= most:
            return [i * step * factor for i in range(first, last + 1)]
    return [low]


def number(value: float, digits: int = 2) -> str:
    """A number as it is written on screen: 1,024, −0.25; whole ones without places."""
    words = f"{value:,.0f}" if value == round(value) and abs(value) >= 1 else f"{value:,.{digits}f}"
    if not any(digit in words for digit in "123456789"):
        words = words.lstrip("-")
    return words.replace("-", "−")


def tick_words(values: list[float]) -> list[str]:
    """The numbers of an axis, with as many places as tell them apart."""
    step = min((b - a for a, b in itertools.pairwise(values)), default=1.0)
    digits = 0 if step >= 1 else math.ceil(-math.log10(step) - 1e-9)
    return ["0" if abs(value) < 1e-12 else f"{value:,.{digits}f}".replace("-", "−") for value in values]


def picks(length: int, most: int) -> NDArray[np.int64]:
    """`length` places, or `most` of them, evenly spread from the first to the last."""
    if length <= most:
        return np.arange(length)
    return np.arange(most) * (length - 1) // (most - 1)
