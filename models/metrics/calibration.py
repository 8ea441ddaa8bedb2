"""Calibration of predictions: reliability curves, the expected calibration error, temperature scaling. No torch import.

Predictions within a text depend on one another, so every interval is a bootstrap over texts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from terrarium.models.metrics.intervals import RESAMPLES, Array, divide, percentile_interval, resample, wilson

N_BINS = 15
"""The bins of the calibration errors, as in Guo et al. 2017 (arXiv:1706.04599)."""
HISTOGRAM_BINS = 20
_LEAST_SHARE, _LEAST_WIDTH = 1 / 40, 0.05
"""Each bin of a reliability curve has at least this share of the predictions, and is at least this wide: the confidence
of a good model is often close to 1, where bins of equally many predictions would all be.
"""
INVERSE_TEMPERATURES = np.exp2(np.arange(-8, 9) / 4)
"""The grid on which the slope of the likelihood is measured: temperatures from 4 to 1/4, in steps of a fourth root of
2."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number and its 95 % confidence interval; None with fewer than two texts."""

    value: float
    interval: tuple[float, float] | None = None

    def excludes(self, value: float) -> bool:
        """Return whether there is an interval, and `value` is outside."""
        return self.interval is not None and not self.interval[0] <= value <= self.interval[1]


@dataclass(frozen=True, kw_only=True)
class ReliabilityBin:
    """Predictions with a confidence from `low` to `high`. n: how many. confidence, accuracy: the means."""

    low: float
    high: float
    n: int
    confidence: float
    accuracy: Estimate


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """How far the confidence of predictions is from their accuracy.

    bins: of the reliability curve. ece: the expected calibration error in N_BINS equally wide bins; adaptive_ece: in as
    many bins of equally many predictions. by_chance: the `ece` that a perfectly calibrated model would typically show
    on as many texts. excess: mean confidence − accuracy; above 0, the model is too sure. histogram: the shares of
    predictions in HISTOGRAM_BINS equally wide bins.
    """

    bins: tuple[ReliabilityBin, ...]
    ece: Estimate
    adaptive_ece: Estimate
    by_chance: float
    excess: Estimate
    histogram: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class AtTemperature:
    """The calibration with logits divided by `temperature`.

    nll: the negative log-likelihood in nats per prediction. best: of the most likely outcome of each prediction. top:
    of the TOP most likely ones, each with its own probability.
    """

    temperature: float
    nll: Estimate
    best: Reliability
    top: Reliability


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """The calibration of a model on held-out texts, before and after temperature scaling.

    data: the name of the texts. what: what is predicted, “token” or “label”. temperature: that with the highest
    likelihood, fitted on `n_fitted` predictions in `n_fitted_texts` texts. before, after: judged on other texts.
    nll_change: of the negative log-likelihood, after − before. accuracy: of the most likely outcome.
    """

    data: str
    what: str
    n_fitted: int
    n_fitted_texts: int
    n_judged: int
    n_judged_texts: int
    temperature: Estimate
    accuracy: Estimate
    before: AtTemperature
    after: AtTemperature
    nll_change: Estimate
    seconds: float


def reliability(confidence: Array, right: Array, text: Array, *, resamples: int = RESAMPLES) -> Reliability:
    """Compare the confidence of predictions with their accuracy.

    Calibration errors are too high by chance, as deviations of the bins add up instead of cancelling. So the interval
    begins at the error less that which chance reaches in 1 of 40 samples, which is at 0 for a calibrated model; it ends
    at the percentile of the resamples. Both are on the safe side: it holds the true error in 95 % of cases or more.

    Args:
        confidence: of each prediction, (N,). right: whether it came true, (N,). text: the index of its text, (N,).
    """
    confidence, right = np.asarray(confidence, np.float64), np.asarray(right, np.float64)
    edges = _curve_edges(confidence)
    binnings = (np.linspace(0, 1, N_BINS + 1), _quantiles(confidence, N_BINS), edges)
    table = np.hstack([_sums_by_text(right, confidence, each, text) for each in binnings])
    ends = np.cumsum([3 * (len(each) - 1) for each in binnings])[:-1]
    observed = table.sum(axis=0)[None]
    gaps = [_gaps(sums) for sums in np.split(observed, ends, axis=1)]

    def of_sums(sums: Array) -> Array:
        """Sums [b, k] -> [b, 5 + bins]: both errors, both errors by chance, the excess, each accuracy of the curve."""
        *both, curve = np.split(sums, ends, axis=1)
        errors = [_error(each) for each in both]
        by_chance = [_error(each, gap) for each, gap in zip(both, gaps, strict=False)]
        n_right, total, n = _thirds(curve)
        excess = (total.sum(axis=1) - n_right.sum(axis=1)) / n.sum(axis=1)
        return np.column_stack([*errors, *by_chance, excess, divide(n_right, n, np.nan)])

    values, drawn = of_sums(observed)[0], resample(table, of_sums, resamples)
    _, total, n = (part[0] for part in _thirds(np.split(observed, ends, axis=1)[-1]))
    bins = tuple(
        ReliabilityBin(
            low=float(edges[i]),
            high=float(edges[i + 1]),
            n=int(n[i]),
            confidence=float(total[i] / n[i]),
            accuracy=_share(float(values[5 + i]), int(n[i]), drawn[:, 5 + i]),
        )
        for i in range(len(n))
        if n[i]
    )
    counts, _ = np.histogram(confidence, HISTOGRAM_BINS, (0.0, 1.0))
    return Reliability(
        bins=bins,
        ece=_error_estimate(float(values[0]), drawn[:, 0], drawn[:, 2]),
        adaptive_ece=_error_estimate(float(values[1]), drawn[:, 1], drawn[:, 3]),
        by_chance=float(np.median(drawn[:, 2])) if len(drawn) else 0.0,
        excess=Estimate(value=float(values[4]), interval=percentile_interval(drawn[:, 4])),
        histogram=tuple((counts / max(1, len(confidence))).tolist()),
    )


def mean_by_text(values: Array, text: Array, *, resamples: int = RESAMPLES) -> Estimate:
    """Compute the mean of one number per prediction, (N,), and its interval over texts."""
    sums = np.column_stack([np.bincount(text, values), np.bincount(text)])

    def of_sums(found: Array) -> Array:
        return divide(found[:, 0], found[:, 1], np.nan)

    drawn = resample(sums, of_sums, resamples)
    return Estimate(value=float(of_sums(sums.sum(axis=0)[None])[0]), interval=percentile_interval(drawn))


def best_temperature(slopes: Array, *, resamples: int = RESAMPLES) -> Estimate:
    """Find the temperature with the highest likelihood (temperature scaling, Guo et al. 2017), and its interval.

    The negative log-likelihood is convex in the inverse temperature, so its slope has one zero. Beyond the grid, the
    temperature is that of its end.

    Args:
        slopes: the slope of each text's negative log-likelihood at INVERSE_TEMPERATURES, [texts, grid].
    """
    drawn = resample(slopes, _zeros, resamples)
    return Estimate(value=float(_zeros(slopes.sum(axis=0)[None])[0]), interval=percentile_interval(drawn))


def _zeros(slopes: Array) -> Array:
    """Find the temperature where slopes [b, grid] are 0, [b]: by inverse cubic interpolation over the logarithm."""
    logs, n = np.log(INVERSE_TEMPERATURES), len(INVERSE_TEMPERATURES)
    after = (slopes < 0).sum(axis=1)  # the first grid point beyond the zero
    first = np.clip(after - 2, 0, n - 4)
    near = first[:, None] + np.arange(4)
    x, y = logs[near], np.take_along_axis(slopes, near, axis=1)
    found = np.zeros(len(slopes))
    for i in range(4):
        weight = np.ones(len(slopes))
        for j in set(range(4)) - {i}:
            weight *= divide(-y[:, j], y[:, i] - y[:, j])
        found += weight * x[:, i]
    low, high = logs[np.maximum(after - 1, 0)], logs[np.minimum(after, n - 1)]
    temperatures: Array = np.exp(-np.clip(found, low, high))
    return temperatures


def _quantiles(confidence: Array, n_bins: int) -> Array:
    """Return the limits of bins of equally many predictions; fewer bins where many confidences are equal."""
    edges = np.unique(np.quantile(confidence, np.linspace(0, 1, n_bins + 1)))
    return edges if len(edges) > 1 else np.array([edges[0], edges[0]])


def _curve_edges(confidence: Array) -> Array:
    """Return the limits of the bins of a reliability curve."""
    first, *inner, last = _quantiles(confidence, round(1 / _LEAST_SHARE)).tolist()
    edges = [first]
    for each in inner:
        if each - edges[-1] >= _LEAST_WIDTH and last - each >= _LEAST_WIDTH:
            edges.append(each)
    return np.array([*edges, last])


def _sums_by_text(right: Array, confidence: Array, edges: Array, text: Array) -> Array:
    """Sum by text and bin: [texts, 3 · bins], of right predictions, of confidences, and counts."""
    n_texts, n_bins = int(text.max()) + 1, len(edges) - 1
    bins = np.clip(np.searchsorted(edges, confidence, side="right") - 1, 0, n_bins - 1)
    at = text * n_bins + bins
    parts = [np.bincount(at, weights, n_texts * n_bins) for weights in (right, confidence, None)]
    return np.hstack([part.reshape(n_texts, n_bins) for part in parts])


def _thirds(sums: Array) -> tuple[Array, Array, Array]:
    n_right, total, n = np.split(sums, 3, axis=1)
    return n_right, total, n


def _gaps(sums: Array) -> Array:
    """Return accuracy − confidence of each bin, [b, 3 n_bins] -> [b, n_bins]; 0 for an empty one."""
    n_right, total, n = _thirds(sums)
    return divide(n_right - total, n)


def _error(sums: Array, gaps: Array | float = 0.0) -> Array:
    """Compute the mean distance of accuracy − confidence from `gaps`, weighted by the size of the bins: [b]."""
    n_right, total, n = _thirds(sums)
    distances: Array = np.abs(n_right - total - gaps * n).sum(axis=1)
    return divide(distances, n.sum(axis=1), np.nan)


def _share(value: float, n: int, drawn: Array) -> Estimate:
    """Return a share of `n` predictions with its interval; Wilson's if all or none are right, which has no spread."""
    interval = percentile_interval(drawn)
    if interval is not None and interval[0] == interval[1]:
        interval = wilson(value * n, n)
    return Estimate(value=value, interval=interval)


def _error_estimate(error: float, drawn: Array, by_chance: Array) -> Estimate:
    """Return a calibration error with its interval: see `reliability`."""
    found, chance = percentile_interval(drawn), percentile_interval(by_chance)
    if found is None or chance is None:
        return Estimate(value=error)
    return Estimate(value=error, interval=(max(0.0, error - chance[1]), max(error, found[1])))
