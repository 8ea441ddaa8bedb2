"""Confidence intervals: Wilson's for a proportion, Student's for a mean of few runs, the bootstrap over items, and the
paired bootstrap.

A metric is a `Measure`, a function of item weights (counts), so one resample of the items serves every metric, and two
systems can be measured on the same resample.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]

RESAMPLES = 1000
LEVEL = 0.95
Z = 1.959963984540054
"""The half-width of the normal distribution's interval at LEVEL, in standard deviations."""
_CELLS_AT_ONCE = 2_000_000


@dataclass(frozen=True)
class Measure:
    """A metric of `n` items. `of_weights`: how often each item counts, [b, n] -> the metric's values, [b].

    A value is NaN if the metric is undefined.
    """

    n: int
    of_weights: Callable[[Array], Array]

    def value(self) -> float | None:
        """Compute the metric with all weights 1; None if undefined."""
        if not self.n:
            return None
        value = float(self.of_weights(np.ones((1, self.n)))[0])
        return value if math.isfinite(value) else None


def additive(items: ArrayLike, of_sums: Callable[[Array], Array]) -> Measure:
    """Return a metric that is a function of sums over the items.

    Args:
        items: the summands of each item, [n, k]. of_sums: the sums, [b, k] -> values, [b].
    """
    table = np.asarray(items, dtype=np.float64)
    return Measure(len(table), lambda weights: of_sums(weights @ table))


def mean(values: Sequence[float] | Array) -> Measure:
    """Return the metric that is the mean of one number per item."""
    column = np.asarray(values, dtype=np.float64).reshape(-1, 1)
    return Measure(len(column), lambda weights: (weights @ column)[:, 0] / weights.sum(axis=1))


def divide(numerator: Array, denominator: Array, default: float = 0.0) -> Array:
    """Divide two arrays elementwise; the result is `default` where the denominator is 0."""
    shape = np.broadcast_shapes(np.shape(numerator), np.shape(denominator))
    quotients = np.full(shape, default, dtype=np.float64)
    return np.divide(numerator, denominator, out=quotients, where=np.broadcast_to(denominator != 0, shape))


def mid_ranks(values: Array) -> Callable[[Array], Array]:
    """Return a function of item weights, [b, n] -> [b, n]: the values' ranks minus a half, ties at their mean rank."""
    if not len(values):
        return lambda weights: weights
    _, tie = np.unique(values, return_inverse=True)
    order = np.argsort(tie, kind="stable")
    starts = np.flatnonzero(np.diff(tie[order], prepend=-1))

    def of_weights(weights: Array) -> Array:
        sizes = np.add.reduceat(weights[:, order], starts, axis=1)
        ranks: Array = (np.cumsum(sizes, axis=1) - sizes / 2)[:, tie]
        return ranks

    return of_weights


def wilson(n_right: float, n: int) -> tuple[float, float] | None:
    """Compute the 95 % confidence interval of a proportion (Wilson 1927); None if there are no items.

    Unlike the normal approximation, it stays within 0 and 1 and is not degenerate if all or none are right.
    """
    if n <= 0:
        return None
    share = n_right / n
    centre = share + Z**2 / (2 * n)
    margin = Z * math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    scale = 1 + Z**2 / n
    low = (centre - margin) / scale if n_right > 0 else 0.0
    high = (centre + margin) / scale if n_right < n else 1.0
    return low, high


def student(values: Sequence[float]) -> tuple[float, float] | None:
    """Compute the 95 % confidence interval of a mean of few values, such as one per seed (Student 1908).

    Returns None for fewer than two values. It assumes that they are normally distributed; with so few, the bootstrap
    would be far too narrow.
    """
    n = len(values)
    if n < 2:
        return None
    margin = _student_quantile(n - 1) * statistics.stdev(values) / math.sqrt(n)
    return statistics.fmean(values) - margin, statistics.fmean(values) + margin


def _student_quantile(freedom: int) -> float:
    """Return the half-width of Student's distribution's interval at LEVEL, in standard errors, by bisection."""
    low, high = Z, 1000.0
    while high - low > 1e-9:
        middle = (low + high) / 2
        low, high = (middle, high) if _student_level(middle, freedom) < LEVEL else (low, middle)
    return high


def _student_level(t: float, freedom: int) -> float:
    """Return the probability between −t and t of Student's distribution (Abramowitz and Stegun, 26.7.3 and 26.7.4)."""
    angle = math.atan(t / math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    if freedom % 2 == 0:
        term = total = 1.0
        for i in range(1, freedom // 2):
            term *= cosine**2 * (2 * i - 1) / (2 * i)
            total += term
        return sine * total
    term = total = cosine if freedom > 1 else 0.0
    for i in range(1, (freedom - 1) // 2):
        term *= cosine**2 * 2 * i / (2 * i + 1)
        total += term
    return 2 / math.pi * (angle + sine * total)


def difference_error(a: float, n_a: float, b: float, n_b: float) -> float:
    """Compute the unpooled standard error of the difference of independent proportions: a of n_a items, b of n_b."""
    return math.sqrt(a * (1 - a) / n_a + b * (1 - b) / n_b)


def bootstrap(measure: Measure, resamples: int = RESAMPLES, seed: int = 0) -> tuple[float, float] | None:
    """Compute the 95 % bootstrap percentile interval of a metric, resampling items (Efron 1979).

    Returns None if there are fewer than two items, or the metric is undefined in every resample.
    """
    if measure.n < 2 or resamples < 1:
        return None
    values = np.concatenate([measure.of_weights(weights) for weights in _drawings(measure.n, resamples, seed)])
    return percentile_interval(values)


def resample(items: ArrayLike, of_sums: Callable[[Array], Array], resamples: int = RESAMPLES, seed: int = 0) -> Array:
    """Compute one or several metrics of resampled items, for `percentile_interval`: [resamples] or [resamples, m].

    Args:
        items: the summands of each item, [n, k]. of_sums: the sums, [b, k] -> values, [b] or [b, m].

    Returns no rows for fewer than two items, or no resamples.
    """
    table = np.asarray(items, dtype=np.float64)
    if len(table) < 2 or resamples < 1:
        return of_sums(table.sum(axis=0)[None])[:0]
    return np.concatenate([of_sums(weights @ table) for weights in _drawings(len(table), resamples, seed)])


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """System B compared with system A on the same items.

    difference: B − A. interval: its 95 % interval; None if undefined. p_value: two-sided, under the null hypothesis
    of equal quality (Koehn 2004, in sacrebleu's form: the differences of the resamples, centred on their mean, against
    the observed difference).
    """

    a: float
    b: float
    difference: float
    interval: tuple[float, float] | None
    p_value: float
    n: int


def paired_bootstrap(a: Measure, b: Measure, resamples: int = RESAMPLES, seed: int = 0) -> Comparison:
    """Compare two systems by one metric; both are measured on the same resamples of the items.

    Raises:
        ValueError: if they were measured on different numbers of items, or the metric is undefined for one of them.
    """
    if a.n != b.n:
        raise ValueError(f"The first system was scored on {a.n} items and the second on {b.n}: score both on the same.")
    of_a, of_b = a.value(), b.value()
    if of_a is None or of_b is None:
        raise ValueError("The metric is undefined for one of the two systems: choose another metric.")
    found = of_b - of_a
    drawn = np.concatenate([b.of_weights(w) - a.of_weights(w) for w in _drawings(a.n, max(1, resamples), seed)])
    drawn = drawn[np.isfinite(drawn)]
    p_value = 1.0
    if len(drawn):
        by_chance = np.abs(drawn - drawn.mean()) >= abs(found) - 1e-12
        p_value = (int(by_chance.sum()) + 1) / (len(drawn) + 1)
    return Comparison(
        a=of_a,
        b=of_b,
        difference=found,
        interval=percentile_interval(drawn) if a.n > 1 else None,
        p_value=p_value,
        n=a.n,
    )


def _drawings(n: int, resamples: int, seed: int) -> Iterator[Array]:
    """Yield bootstrap weights [b, n], how often each of n items is drawn with replacement; `resamples` rows in all."""
    rng = np.random.default_rng(seed)
    at_once = max(1, _CELLS_AT_ONCE // n)
    for start in range(0, resamples, at_once):
        rows = min(at_once, resamples - start)
        draws = rng.integers(n, size=(rows, n)) + np.arange(rows)[:, None] * n
        yield np.bincount(draws.ravel(), minlength=rows * n).reshape(rows, n).astype(np.float64)


def percentile_interval(values: Array) -> tuple[float, float] | None:
    """Return the 95 % percentile interval of resampled values, [b]; None if none of them is finite."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return None
    low, high = np.quantile(finite, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
