"""The description of an alignment figure, and its alert."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Alert:
    """An alert of a figure. message: what has happened, and what it means. is_triggered: whether it has, given the
    values so far (n,), n > 0.
    """

    message: str
    is_triggered: Callable[[Floats], bool]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure of alignment.jsonl.

    help: its definition. plain: the definition in a few words for newcomers, for the figures shown first. healthy:
    its usual course, in words. low, high: the bounds of its healthy range, None if unbounded. unit: "share" (shown in
    percent), or the text after its name. floor: values below need not be shown. max_gap: how much higher it may be on
    training data than on held-out data.
    """

    title: str
    help: str
    plain: str = ""
    healthy: str = ""
    low: float | None = None
    high: float | None = None
    unit: str = ""
    alert: Alert | None = None
    floor: float = -math.inf
    max_gap: float = math.inf


def stays_above(limit: float, n_steps: int = 1) -> Callable[[Floats], bool]:
    """Return a predicate: the last `n_steps` values are all above `limit`."""
    return lambda values: len(values) >= n_steps and bool((values[-n_steps:] > limit).all())


def stays_below(limit: float, n_steps: int = 1) -> Callable[[Floats], bool]:
    """Return a predicate: the last `n_steps` values are all below `limit`."""
    return lambda values: len(values) >= n_steps and bool((values[-n_steps:] < limit).all())


def leaves_start(low: float, high: float) -> Callable[[Floats], bool]:
    """Return a predicate: the mean of the last values is below `low` or above `high` times that of the first ones."""

    def leaves(values: Floats) -> bool:
        first, last = float(values[:N_AVERAGED].mean()), float(values[-N_AVERAGED:].mean())
        return len(values) >= 2 * N_AVERAGED and first > 0 and not low <= last / first <= high

    return leaves


def ends_outside(low: float, high: float, n_steps: int) -> Callable[[Floats], bool]:
    """Return a predicate: after `n_steps` or more values, the mean of the last ones is outside [low, high]."""
    return lambda values: len(values) >= n_steps and not low <= float(values[-N_AVERAGED:].mean()) <= high


def falls_from_peak(by: float) -> Callable[[Floats], bool]:
    """Return a predicate: the mean of the last steps is more than `by` lower than the highest such mean."""

    def falls(values: Floats) -> bool:
        if len(values) < 2 * N_AVERAGED:
            return False
        means = np.convolve(values, np.full(N_AVERAGED, 1 / N_AVERAGED), mode="valid")
        return bool(means.max() - means[-1] > by)

    return falls


NO_END = math.inf
N_AVERAGED = 5
"""The number of steps in a mean, because single steps are noisy."""
CLIPPED = Alert(message="Many replies are cut before they end: raise the longest reply.", is_triggered=stays_above(0.3))
NO_SIGNAL = Alert(
    message="For 20 steps hardly any prompt had a better and a worse reply, so nothing is learned: the task is too "
    "hard (teach it first, from texts) or already learned.",
    is_triggered=stays_above(0.9, 20),
)
SAME_REWARDS = Alert(
    message="For 20 steps all replies to a prompt have earned the same, so nothing is learned.",
    is_triggered=stays_below(1e-6, 20),
)
FAR = Alert(
    message="Far more than such a wish costs: the replies may have left the language that the parent knew. Raise β, or "
    "lower the learning rate.",
    is_triggered=stays_above(12.0, 3),
)
CHOSEN_FALLS = Alert(
    message="The better replies themselves have become much less likely: what takes their place may be neither. Hold "
    "the chosen (align.nll_weight 0.2), or take fewer steps.",
    is_triggered=stays_below(-0.3, 3),
)
TOO_LARGE = "Steps are too large: lower the learning rate."
COLLAPSE = Alert(
    message="The model is far surer than at the start: soon all replies to a prompt are alike, and nothing is left to "
    "compare.",
    is_triggered=leaves_start(0.2, 5.0),
)
