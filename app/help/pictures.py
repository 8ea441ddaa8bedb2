"""The small pictures of glossary entries as data: bars and lines that are computed from the formulas. No Qt."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

_LOGITS = (3.2, 2.6, 1.7, 1.1, 0.6, 0.1, -0.6)
"""Logits of seven fictitious tokens."""
_N = 60
"""The number of points of a line."""


@dataclass(frozen=True)
class Group:
    """Bars side by side under a caption; those that are not `kept` are drawn pale."""

    caption: str
    heights: Sequence[float]
    kept: Sequence[bool]


@dataclass(frozen=True)
class Bars:
    """Groups of bars. one_scale: all groups share a scale; else the highest bar of each group fills the picture."""

    groups: Sequence[Group]
    one_scale: bool = True


@dataclass(frozen=True)
class Lines:
    """Named lines over a common x; the y axis spans all values. is_sketch: they show a trend, not numbers."""

    lines: Mapping[str, Sequence[float]]
    x: str = ""
    is_sketch: bool = False


Picture = Bars | Lines


def softmax(scores: Sequence[float], temperature: float = 1.0) -> list[float]:
    """Return the softmax probabilities of scores."""
    powers = [math.exp(score / temperature) for score in scores]
    return [power / sum(powers) for power in powers]


def _all(heights: Sequence[float], caption: str) -> Group:
    return Group(caption, heights, [True] * len(heights))


def _cut(keeps: Callable[[list[float]], int], caption: str) -> Bars:
    """Return the probabilities before and after a truncation; `keeps` returns how many of the first are kept."""
    before = softmax(_LOGITS)
    n = keeps(before)
    after = [p / sum(before[:n]) if i < n else 0.0 for i, p in enumerate(before)]
    return Bars([Group("before", before, [i < n for i in range(len(before))]), _all(after, caption)])


def _smallest_set(share: float) -> Callable[[list[float]], int]:
    return lambda probabilities: next(
        n for n in range(1, len(probabilities) + 1) if sum(probabilities[:n]) >= share or n == len(probabilities)
    )


def _line(f: Callable[[float], float], low: float = 0.0, high: float = 1.0) -> list[float]:
    """Return a function's values at _N points from `low` to `high`."""
    return [f(low + (high - low) * i / (_N - 1)) for i in range(_N)]


def _wave(length: float) -> list[float]:
    return _line(lambda position: math.sin(position / length), 0, 60)


def _schedule(progress: float) -> float:
    """Return the relative learning rate: a warm-up over a tenth of the steps, then a cosine decay."""
    if progress < 0.1:
        return progress / 0.1
    return 0.5 * (1 + math.cos(math.pi * (progress - 0.1) / 0.9))


PICTURES: Mapping[str, Picture] = {
    "softmax": Bars(
        [_all([score + 1 for score in _LOGITS], "scores + 1"), _all(softmax(_LOGITS), "probabilities")], one_scale=False
    ),
    "temperature": Bars([_all(softmax(_LOGITS, t), f"T = {t:g}") for t in (0.5, 1.0, 2.0)]),
    "top-k": _cut(lambda probabilities: 3, "k = 3"),
    "top-p": _cut(_smallest_set(0.9), "p = 0.9"),
    "min-p": _cut(lambda probabilities: sum(p >= 0.2 * probabilities[0] for p in probabilities), "min-p = 0.2"),
    "alibi": Bars([_all([slope * d for d in range(7, -1, -1)], f"slope 1/{1 / slope:g}") for slope in (0.5, 0.25)]),
    "sinusoidal": Lines({f"sin p/{w}": _wave(w) for w in (2, 6, 18)}, "position p"),
    "gelu": Lines(
        {
            "GELU": _line(lambda x: x * 0.5 * (1 + math.erf(x / math.sqrt(2))), -3, 3),
            "ReLU": _line(lambda x: max(x, 0), -3, 3),
        },
        "x from −3 to 3",
    ),
    "schedule": Lines({"learning rate": _line(_schedule)}, "steps"),
    "overfitting": Lines(
        {
            "training": _line(lambda x: math.exp(-3 * x)),
            "validation": _line(lambda x: 0.15 + math.exp(-5 * x) + 0.5 * max(x - 0.35, 0) ** 1.3),
        },
        "steps",
        is_sketch=True,
    ),
    "reward hacking": Lines(
        {
            "reward": _line(lambda x: 1 - math.exp(-3 * x)),
            "what is meant": _line(lambda x: 3.4 * x * math.exp(-4.5 * x)),
        },
        "KL",
        is_sketch=True,
    ),
}
"""Name in the glossary -> picture."""
