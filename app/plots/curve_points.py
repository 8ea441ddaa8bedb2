"""Smoothing and thinning of curves to the resolution of the screen. No Qt."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SMOOTHING = 0.4
"""The initial smoothing of lines, see `moving_average`."""


def smooth(values: Floats, strength: float, counts: Floats | None = None) -> Floats:
    """Compute the exponential moving average with weight `strength` (0 … <1) on the past, with bias correction.

    NaNs stay NaN and do not spread. Computed by doubling, in O(n log n), so that a slider stays responsive over
    100,000 steps.

    Args:
        counts: (n,); the number of measurements that each value averages; None: one each.
    """
    if strength <= 0 or len(values) == 0:
        return values
    known = np.isfinite(values)
    total, weight = np.where(known, values, 0.0), known.astype(np.float64)
    if counts is None:
        shift, factor = 1, strength
        while shift < len(values) and factor > 1e-7:
            total[shift:] = total[shift:] + factor * total[:-shift]
            weight[shift:] = weight[shift:] + factor * weight[:-shift]
            shift, factor = 2 * shift, factor * factor
        return np.where(known, total / np.maximum(weight, 1e-12), np.nan)
    factors = np.power(strength, counts)
    weight *= 1 - factors
    total *= weight
    shift = 1
    while shift < len(values) and factors[shift:].max() > 1e-7:
        total[shift:] += factors[shift:] * total[:-shift]
        weight[shift:] += factors[shift:] * weight[:-shift]
        factors[shift:] *= factors[:-shift].copy()
        shift *= 2
    return np.where(known, total / np.maximum(weight, 1e-12), np.nan)


def moving_average(values: Floats, amount: float, counts: Floats | None = None) -> Floats:
    """Compute the exponential moving average over a fraction of the run: none for `amount` 0, a quarter for 1.

    Args:
        counts: see `smooth`.
    """
    if counts is not None and counts.max(initial=1.0) == 1:
        counts = None
    n = len(values) if counts is None else float(counts.sum())
    window = 1 + 0.25 * n * amount**3
    return smooth(values, 1 - 1 / window, counts)


def trailing_average(values: Floats, share: float, counts: Floats | None = None) -> Floats:
    """Average the last `share` of the values up to each point, which is equally smooth everywhere on a log axis.

    Args:
        values: (n,); non-finite values are ignored.
        counts: (n,), the weight of each value; None: equal weights.
    """
    known = np.isfinite(values)
    weights = np.where(known, 1.0 if counts is None else counts, 0.0)
    sums, total = (
        np.concatenate(([0.0], np.cumsum(each))) for each in (np.where(known, values, 0.0) * weights, weights)
    )
    ends = np.arange(1, len(values) + 1)
    starts = np.floor(ends * (1 - share)).astype(np.int64)
    weight = total[ends] - total[starts]
    means: Floats = np.full(len(values), np.nan)
    np.divide(sums[ends] - sums[starts], weight, out=means, where=weight > 0)
    return means


def in_view(x: Floats, y: Floats, left: float, right: float) -> tuple[Floats, Floats]:
    """Return the points (n,) between `left` and `right`, and one beyond at each side; x must not decrease."""
    first = max(int(np.searchsorted(x, left)) - 1, 0)
    end = min(int(np.searchsorted(x, right, side="right")) + 1, len(x))
    return x[first:end], y[first:end]


def column_starts(x: Floats, left: float, right: float, n_columns: int) -> NDArray[np.int64]:
    """Return the indices at which equal columns between `left` and `right` start, without empty columns."""
    starts = np.unique(np.searchsorted(x, np.linspace(left, right, n_columns + 1)))
    return np.concatenate(([0], starts[(starts > 0) & (starts < len(x))]))


def thinned(x: Floats, y: Floats, left: float, right: float, n_columns: int) -> tuple[Floats, Floats]:
    """Thin the points between `left` and `right`, and one beyond at each side, to the extremes of each column.

    Args:
        x: (n,), not decreasing.
        y: (n,); non-finite values are gaps.
        n_columns: the number of columns between `left` and `right`, usually pixels.

    Returns:
        x and y: all points, or at most two per column and a few beyond.
    """
    x, y = in_view(x, y, left, right)
    if len(x) <= 2 * n_columns:
        return x, y
    starts = column_starts(x, left, right, n_columns)
    pairs = np.stack((np.fmin.reduceat(y, starts), np.fmax.reduceat(y, starts)), axis=1)
    return np.repeat(x[starts], 2), pairs.ravel()
