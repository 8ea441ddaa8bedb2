"""Attention as pictures: on a linear, a root or a logarithmic scale, with what cannot be seen as nothing.

Colours run from 0 to 100 %, whatever the largest weight: or a head that looks everywhere would seem to look somewhere.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.kit.figures.pictures import Axis, Floats, HeatPicture
from models.number_words import format_percent

SCALES = {"root": "√", "linear": "Linear", "log": "Log"}
"""How weights become colours."""

SCALES_TIP = "The root shows small weights, too, the logarithm even smaller ones; linear is true to size"

_LEAST = 1e-4  # at the bottom of the logarithmic scale
_LONGEST = 9  # characters of a token's name
_TICKS = {"root": (0.0, 0.1, 0.25, 0.5, 1.0), "linear": (0.0, 0.25, 0.5, 1.0), "log": (1e-4, 1e-3, 1e-2, 0.1, 1.0)}
_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def scaled(weights: Floats, scale: str) -> Floats:
    """Weights from 0 to 1 as they are coloured, from 0 to 1; NaN stays NaN."""
    if scale == "log":
        logs = np.log(np.maximum(weights, np.float32(_LEAST)))
        return (1 - logs / math.log(_LEAST)).astype(np.float32)
    return np.sqrt(weights) if scale == "root" else weights


def scale_marks(scale: str) -> tuple[tuple[float, str], ...]:
    """(place from 0 to 1, words) along a colour bar."""
    marks = scaled(np.array(_TICKS[scale], np.float32), scale).tolist()
    words = [f"{100 * weight:g}\N{NO-BREAK SPACE}%" for weight in _TICKS[scale]]
    if scale == "log":
        words[0] = f"≤ {words[0]}"
    return tuple(zip(marks, words, strict=True))


def share_words(weight: float) -> str:
    """A weight in percent, with as many places as it needs to be more than 0: “12 %”, “4.0 %”, “0.03 %”, “<0.01 %”."""
    if 0 < weight < 0.0001:
        return f"<{format_percent(0.0001, 2)}"
    return format_percent(weight, 0 if weight >= 0.0995 or weight == 0 else 1 if weight >= 0.00995 else 2)


def short_names(words: Sequence[str]) -> list[str]:
    """What tokens are called beside a map: short, and with their place (from 1) where there are several alike."""
    counts: dict[str, int] = {}
    for word in words:
        counts[word] = counts.get(word, 0) + 1
    names = []
    for place, word in enumerate(words, start=1):
        index = str(place).translate(_SUBSCRIPTS) if counts[word] > 1 else ""
        room = _LONGEST - len(index)
        names.append((word if len(word) <= room else f"{word[: room - 1]}…") + index)
    return names


@dataclass(frozen=True, kw_only=True)
class Side:
    """A side of a map: what its rows or columns are called beside it and in sentences; some may be blocks of tokens."""

    ticks: tuple[tuple[float, str], ...]
    told: Sequence[str]
    has_blocks: bool = False


def side_of(names: Sequence[str], edges: Sequence[int] | None = None) -> Side:
    """A side made of tokens with these names; `edges`: where its rows or columns begin, and the end, if not at each.
    A block is called by its first token beside the map."""
    edges = range(len(names) + 1) if edges is None else edges
    labels, told = [], []
    for start, end in itertools.pairwise(edges):
        is_block = end > start + 1
        labels.append(names[start])
        told.append(f"tokens {start + 1:,} to {end:,}" if is_block else f"{names[start]} ({start + 1:,})")
    ticks = tuple((i + 0.5, name) for i, name in enumerate(labels))
    return Side(ticks=ticks, told=told, has_blocks=len(edges) <= edges[-1] - edges[0])


def head_picture(weights: Floats, title: str, rows: Side, columns: Side, scale: str) -> HeatPicture:
    """One head (R, C), whose rows look at its columns."""
    at_most = "at most " if rows.has_blocks or columns.has_blocks else ""

    def told(row: int, column: int) -> str:
        weight = float(weights[row, column])
        if math.isnan(weight):
            return f"{rows.told[row]} cannot see\n{columns.told[column]}"
        return f"{rows.told[row]} looks at\n{columns.told[column]}: {at_most}{format_percent(weight, 1)}"

    return HeatPicture(
        title=title,
        values=scaled(weights, scale),
        x=_axis("the tokens it sees", columns),
        y=_axis("attention of each token", rows, down=True),
        colours="sequential",
        low=0.0,
        high=1.0,
        bar=tuple(mark for mark in scale_marks(scale) if mark[0] == 0 or mark[0] >= 0.2),
        describe=told,
        square=len(rows.told) == len(columns.told),
    )


def _axis(title: str, side: Side, *, down: bool = False) -> Axis:
    n = len(side.told)
    return Axis(title=title, low=n if down else 0, high=0 if down else n, ticks=side.ticks)


def strongest(row: Floats, mass: float = 0.9, least: float = 0.02) -> list[int]:
    """The tokens that a row (S) looks at most, until they have `mass` of its attention; none that has under `least`."""
    weights = np.nan_to_num(row)
    order = np.argsort(-weights, kind="stable")
    before = np.cumsum(weights[order]) - weights[order]
    return [int(i) for i in order[(before < mass) & (weights[order] >= least)]]
