"""The contents of heat maps as plain data, the axes of painted charts, and numbers for them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from terrarium.models.number_words import with_minus

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Axis:
    """An axis: its title, the values at its ends, and its ticks (value, label); () for ticks at round numbers."""

    title: str
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...] = ()
    whole: bool = True
    """Whether only whole numbers are meaningful."""


@dataclass(frozen=True, kw_only=True, eq=False)
class HeatPicture:
    """A table as colours. Rows go down, columns to the right.

    Args:
        values: (rows, columns); NaN = missing, drawn hatched.
        colours: "diverging" (around zero), "sequential" (from zero), "probability", "quantity" (no zero).
        low, high: the values at the ends of the colour map, which is clamped there.
        bar: the ticks of the colour bar (value, label). shows: its name, if the title does not state it.
        describe: returns the read-out of a cell (row, column), in a few lines.
        square: whether cells are as high as wide.
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
    shows: str = ""
    square: bool = False


def round_ticks(axis: Axis, most: int) -> list[float]:
    """Return at most `most` round numbers between the ends of an axis, evenly spaced and in order.

    They are multiples of the smallest step of 1, 2 or 5 times a power of ten with which there are so few.
    """
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


def format_number(value: float, digits: int = 2) -> str:
    """Format a number for the screen: 1,024, −0.25; whole numbers without decimals."""
    words = f"{value:,.0f}" if value == round(value) and abs(value) >= 1 else f"{value:,.{digits}f}"
    if not any(digit in words for digit in "123456789"):
        words = words.lstrip("-")
    return with_minus(words)


def format_ticks(values: list[float]) -> list[str]:
    """Format the tick labels of an axis, with as many decimals as needed to distinguish them."""
    step = min((b - a for a, b in itertools.pairwise(values)), default=1.0)
    digits = 0 if step >= 1 else math.ceil(-math.log10(step) - 1e-9)
    return ["0" if abs(value) < 1e-12 else with_minus(f"{value:,.{digits}f}") for value in values]


def evenly_spaced(length: int, most: int) -> NDArray[np.int64]:
    """Return the indices 0 to length − 1, or `most` of them, evenly spaced from the first to the last."""
    if length <= most:
        return np.arange(length)
    return np.arange(most) * (length - 1) // (most - 1)
