"""Attention maps on a linear, square root or logarithmic scale, with masked cells as NaN.

Colours always span 0 to 100 %: otherwise uniform attention would look like structure.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from terrarium.app.plots.pictures import Axis, Floats, HeatPicture
from terrarium.models.number_words import format_percent

SCALES = {"root": "Square root", "linear": "Linear", "log": "Log"}
"""The scales that map weights to colours."""

SCALES_TIP = (
    "How weights become colours: the square root shows small weights, too, the logarithm even smaller ones; linear is "
    "true to scale"
)
SHOWN = "Attention weight"
"""The name of the colour bar."""

_MIN_LOG_WEIGHT = 1e-4  # the lower end of the logarithmic scale
_MAX_NAME_LENGTH = 9  # characters of a token's name
_TICKS = {"root": (0.0, 0.1, 0.25, 0.5, 1.0), "linear": (0.0, 0.25, 0.5, 1.0), "log": (1e-4, 1e-3, 1e-2, 0.1, 1.0)}
_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def scaled(weights: Floats, scale: str) -> Floats:
    """Weights (0 to 1) -> positions on the colour scale (0 to 1); NaN stays NaN.

    A custom block may return negative weights, which get the colour of 0.
    """
    weights = np.maximum(weights, np.float32(0))
    if scale == "log":
        logs = np.log(np.maximum(weights, np.float32(_MIN_LOG_WEIGHT)))
        return (1 - logs / math.log(_MIN_LOG_WEIGHT)).astype(np.float32)
    return np.sqrt(weights) if scale == "root" else weights


def scale_ticks(scale: str) -> tuple[tuple[float, str], ...]:
    """(position from 0 to 1, label) of the ticks of a colour bar."""
    marks = scaled(np.array(_TICKS[scale], np.float32), scale).tolist()
    words = [f"{100 * weight:g}\N{NO-BREAK SPACE}%" for weight in _TICKS[scale]]
    if scale == "log":
        words[0] = f"≤ {words[0]}"
    return tuple(zip(marks, words, strict=True))


def format_share(weight: float) -> str:
    """Format a weight in percent, with enough decimals not to be 0: “12 %”, “4.0 %”, “0.03 %”, “<0.01 %”.

    Only a weight of 1 is “100 %”; a little less is “>99 %”.
    """
    if 0.995 <= weight < 1.0:
        return f">{format_percent(0.99)}"
    if 0 < weight < 0.0001:
        return f"<{format_percent(0.0001, 2)}"
    return format_percent(weight, 0 if weight >= 0.0995 or weight == 0 else 1 if weight >= 0.00995 else 2)


def short_names(words: Sequence[str]) -> list[str]:
    """Shorten token names for the labels of a map; duplicates get their position (from 1) as a subscript."""
    counts: dict[str, int] = {}
    for word in words:
        counts[word] = counts.get(word, 0) + 1
    names = []
    for position, word in enumerate(words, start=1):
        index = str(position).translate(_SUBSCRIPTS) if counts[word] > 1 else ""
        room = _MAX_NAME_LENGTH - len(index)
        names.append((word if len(word) <= room else f"{word[: room - 1]}…") + index)
    return names


@dataclass(frozen=True, kw_only=True)
class Side:
    """The rows or columns of a map, each a token or a block of tokens: tick labels, and descriptions for sentences."""

    ticks: tuple[tuple[float, str], ...]
    descriptions: Sequence[str]
    has_blocks: bool = False


def side_of(names: Sequence[str], edges: Sequence[int] | None = None) -> Side:
    """Create a side of tokens with these names.

    edges: the starts of its rows or columns, and the end; None: one per token. A block is labelled by its first token.
    """
    edges = range(len(names) + 1) if edges is None else edges
    labels, descriptions = [], []
    for start, end in itertools.pairwise(edges):
        is_block = end > start + 1
        labels.append(names[start])
        descriptions.append(f"tokens {start + 1:,} to {end:,}" if is_block else f"{names[start]} ({start + 1:,})")
    ticks = tuple((i + 0.5, name) for i, name in enumerate(labels))
    return Side(ticks=ticks, descriptions=descriptions, has_blocks=len(edges) <= edges[-1] - edges[0])


def head_picture(weights: Floats, title: str, rows: Side, columns: Side, scale: str) -> HeatPicture:
    """Create the attention map of a head from its weights (R, C): rows attend to columns."""
    at_most = "at most " if rows.has_blocks or columns.has_blocks else ""

    def describe(row: int, column: int) -> str:
        weight = float(weights[row, column])
        if math.isnan(weight):
            return f"{rows.descriptions[row]} cannot see\n{columns.descriptions[column]}"
        return (
            f"{rows.descriptions[row]} attends to\n{columns.descriptions[column]}: {at_most}{format_percent(weight, 1)}"
        )

    return HeatPicture(
        title=title,
        values=scaled(weights, scale),
        x=_axis("attended tokens", columns),
        y=_axis("attention of each token", rows, down=True),
        colours="sequential",
        low=0.0,
        high=1.0,
        bar=tuple(mark for mark in scale_ticks(scale) if mark[0] == 0 or mark[0] >= 0.2),
        shows=SHOWN,
        describe=describe,
        square=len(rows.descriptions) == len(columns.descriptions),
    )


def _axis(title: str, side: Side, *, down: bool = False) -> Axis:
    n = len(side.descriptions)
    return Axis(title=title, low=n if down else 0, high=0 if down else n, ticks=side.ticks)


def strongest(row: Floats, mass: float = 0.9, least: float = 0.02) -> list[int]:
    """Return the most attended tokens of a row (S), in order, until they cover `mass`; none with less than `least`."""
    weights = np.nan_to_num(row)
    order = np.argsort(-weights, kind="stable")
    before = np.cumsum(weights[order]) - weights[order]
    return [int(i) for i in order[(before < mass) & (weights[order] >= least)]]
