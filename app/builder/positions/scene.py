"""What all scenes are made of: the scene itself, its axes, its curve of similarity, and words for distances."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.kit.figures.pictures import Axis, Floats, HeatPicture, Line, LinePicture, number, picks

Ints = NDArray[np.int64]

MOST_COLUMNS, MOST_ROWS, MOST_TOKENS = 512, 128, 128
"""Cells of a picture; where there are more, evenly spread ones are shown."""
MOST_DISTANCES = 512
"""Points of a curve by distance; where there are more, each is the mean over some."""

UNIT_BAR = ((1.0, "1"), (0.0, "0"), (-1.0, "−1"))


@dataclass(frozen=True, kw_only=True, eq=False)
class Scene:
    """What is shown of a scheme: words, and one picture above (or `beside`) another."""

    words: str
    first: HeatPicture | LinePicture
    second: HeatPicture | LinePicture
    beside: bool = False


def similarity_plot(
    title: str, unit: str, length: int, *curves: Callable[[Ints, int], Floats], names: tuple[str, ...] = ("",)
) -> LinePicture:
    """Curves over distances from 0 to length − 1, the first of which is the design's own.

    Each is a function of distances and of the window that each stands for, from it on.
    """
    window = 1 if length <= MOST_DISTANCES else -(-length * 2 // MOST_DISTANCES)
    at = np.arange(max(length // window, 1)) * window
    values = [curve(at, window) for curve in curves]
    lowest = min(float(value.min()) for value in values)
    highest = max(1.0, *(float(value.max()) for value in values))

    def describe(i: int) -> str:
        words = [f"{number(float(value[i]), 3)} {name}".strip() for name, value in zip(names, values, strict=True)]
        where = apart_words(int(at[i])) if window == 1 else f"{at[i]:,} to {at[i] + window - 1:,} tokens apart"
        return "\n".join([f"{where}: {words[0]}", *words[1:]])

    return LinePicture(
        title=title,
        at=at,
        lines=tuple(
            Line(values=value, name=name, tone="main" if i == 0 else "other")
            for i, (name, value) in enumerate(zip(names, values, strict=True))
        ),
        x=along("Distance, tokens" + (f" (means over {window:,})" if window > 1 else ""), length),
        y=Axis(title=unit, low=min(lowest, 0.0), high=highest, whole=False),
        describe=describe,
    )


def along(title: str, length: int) -> Axis:
    """The axis of tokens 0 to length − 1, to the right."""
    return Axis(title=title, low=-0.5, high=length - 0.5)


def down_tokens(title: str, length: int) -> Axis:
    """The axis of tokens, the first on top."""
    return Axis(title=title, low=length - 0.5, high=-0.5)


def down(title: str, rows: Ints) -> Axis:
    """The axis of rows that are picked places, the first on top."""
    end = int(rows[-1])
    half = (end + 1) / len(rows) / 2
    return Axis(title=title, low=end + half, high=-half)


def pairs_of(width: int) -> Ints:
    """Dimensions to show: all, or evenly spread pairs of a sine and its cosine."""
    if width <= MOST_ROWS:
        return np.arange(width)
    first = 2 * picks(width // 2, MOST_ROWS // 2)
    return np.stack((first, first + 1), axis=1).reshape(-1)


def every_words(positions: Ints, what: str) -> str:
    """What a title says of picked positions."""
    stride = (int(positions[-1]) + 1) / len(positions)
    return f", one {what} in {stride:,.0f}" if stride >= 1.5 else ""


def token_words(period: float) -> str:
    """A length in tokens."""
    if period >= 1e6:
        return f"{period:.1e} tokens".replace("e+0", " × 10^").replace("e+", " × 10^")
    return f"{number(period, 1) if period < 100 else number(round(period))} tokens"


def apart_words(distance: int) -> str:
    """A distance in words, whichever way."""
    return "its own place" if distance == 0 else f"{distance:,} token{'s' if distance != 1 else ''} apart"


def ahead_words(distance: int) -> str:
    """A distance in words, with its direction."""
    if distance == 0:
        return "its own place"
    return f"{abs(distance):,} token{'s' if abs(distance) != 1 else ''} {'ahead' if distance > 0 else 'back'}"


def weight_words(weight: float) -> str:
    """What a weight is multiplied by."""
    return number(weight, 2) if weight >= 0.1 else f"{weight:.2g}" if weight >= 1e-4 else "almost 0"
