"""Regression metrics: correlation and error, equal to SciPy's and scikit-learn's. No torch import."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from terrarium.models.metrics.intervals import RESAMPLES, Array, Measure, additive, divide, mean, mid_ranks
from terrarium.models.metrics.report import Report, bootstrapped, check_lengths


def score_regression(gold: Sequence[float], predicted: Sequence[float], *, resamples: int = RESAMPLES) -> Report:
    """Score predicted numbers: pearson (the headline), spearman and mae. `item_scores` are the negated absolute errors.

    Details: `mean_error`, positive if the predictions are too high; `rmse`, the root mean squared error.

    Raises:
        ValueError: if the lengths differ, or a score or prediction is not finite.
    """
    check_lengths(len(gold), len(predicted))
    x, y = np.asarray(gold, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    for name, values in (("gold scores", x), ("predictions", y)):
        if not np.isfinite(values).all():
            raise ValueError(f"Item {int(np.flatnonzero(~np.isfinite(values))[0]) + 1} of the {name} is not a number.")
    constant = "A correlation needs at least two different scores on both sides."
    errors = y - x
    scores = {
        "pearson": bootstrapped(_pearson(x, y), resamples, constant),
        "spearman": bootstrapped(_spearman(x, y), resamples, constant),
        "mae": bootstrapped(mean(np.abs(errors)), resamples, "There are no items."),
    }
    n = len(x)
    details = {"mean_error": float(errors.mean()), "rmse": math.hypot(*errors) / math.sqrt(n)} if n else {}
    return Report(
        headline="pearson", n=n, scores=scores, details=details, item_scores=tuple((-np.abs(errors)).tolist())
    )


def _pearson(x: Array, y: Array) -> Measure:
    u, v = _standardised(x), _standardised(y)

    def of_sums(sums: Array) -> Array:
        n, of_u, of_v, uu, vv, uv = sums.T
        return _correlation(divide(of_u, n), divide(of_v, n), divide(uu, n), divide(vv, n), divide(uv, n))

    return additive(np.column_stack([np.ones(len(u)), u, v, u * u, v * v, u * v]), of_sums)


def _spearman(x: Array, y: Array) -> Measure:
    """Return the rank correlation as a metric, ties at their mean; an item drawn twice is tied with itself."""
    rank_x, rank_y = mid_ranks(x), mid_ranks(y)

    def of_weights(weights: Array) -> Array:
        n = weights.sum(axis=1, keepdims=True)
        u, v = (rank(weights) / n - 0.5 for rank in (rank_x, rank_y))
        shares = weights / n
        means = ((shares * part).sum(axis=1) for part in (u, v, u * u, v * v, u * v))
        return _correlation(*means)

    return Measure(len(x), of_weights)


def _correlation(mean_x: Array, mean_y: Array, xx: Array, yy: Array, xy: Array) -> Array:
    """Compute Pearson's r from means, mean squares and mean product; NaN if one side is constant, up to rounding."""
    var_x, var_y = xx - mean_x**2, yy - mean_y**2
    defined = (var_x > 1e-12 * np.maximum(xx, 1e-300)) & (var_y > 1e-12 * np.maximum(yy, 1e-300))
    spread = np.where(defined, np.sqrt(np.maximum(var_x, 0) * np.maximum(var_y, 0)), 0.0)
    return np.clip(divide(xy - mean_x * mean_y, spread, np.nan), -1.0, 1.0)


def _standardised(values: Array) -> Array:
    """Centre and scale values to reduce rounding errors; zeros if all are equal."""
    if not len(values) or values.min() == values.max():
        return np.zeros(len(values))
    scale = np.abs(values).max()  # first, so that squares cannot overflow
    centred = values / scale - (values / scale).mean()
    spread = np.abs(centred).max()
    return np.asarray(centred / spread if spread else centred)
