"""Calibration: equal to naive implementations and to scipy, right by construction, and with intervals that cover."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from terrarium.models.metrics.calibration import (
    INVERSE_TEMPERATURES,
    N_BINS,
    best_temperature,
    mean_by_text,
    reliability,
)

Floats = NDArray[np.float64]


def drawn(n_texts: int, length: int, seed: int, *, k: int = 12, scale: float = 1.0) -> tuple[Floats, NDArray[np.int64]]:
    """Logits (N, k) whose targets were drawn from their own probabilities, then multiplied by `scale`; and targets."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (n_texts * length, k))
    logits *= rng.uniform(0.5, 2.5, (n_texts, 1)).repeat(length, axis=0)  # texts differ in how hard they are
    targets = (softmax(logits, axis=1).cumsum(axis=1) > rng.random((len(logits), 1))).argmax(axis=1)
    return scale * logits, targets


def predicted(logits: Floats, targets: NDArray[np.int64]) -> tuple[Floats, NDArray[np.bool_]]:
    shares: Floats = softmax(logits, axis=1)
    return shares.max(axis=1), logits.argmax(axis=1) == targets


def texts(n_texts: int, length: int) -> NDArray[np.int64]:
    return np.arange(n_texts).repeat(length)


def slopes_of(logits: Floats, targets: NDArray[np.int64], n_texts: int) -> Floats:
    own = logits[np.arange(len(logits)), targets]
    each: list[Floats] = [(softmax(b * logits, axis=1) * logits).sum(axis=1) - own for b in INVERSE_TEMPERATURES]
    sums: Floats = np.stack(each, axis=1).reshape(n_texts, -1, len(each)).sum(axis=1)
    return sums


def test_the_errors_are_those_of_loops_over_bins() -> None:
    logits, targets = drawn(20, 30, 0, scale=1.7)
    confidence, right = predicted(logits, targets)
    found = reliability(confidence, right, texts(20, 30), resamples=50)
    wide = 0.0
    for i in range(N_BINS):
        members = [j for j, p in enumerate(confidence) if i / N_BINS <= p < (i + 1) / N_BINS]
        if members:
            gap = np.mean([right[j] for j in members]) - np.mean([confidence[j] for j in members])
            wide += len(members) / len(confidence) * abs(gap)
    assert found.ece.value == pytest.approx(wide, abs=1e-12)
    mass = 0.0
    for part in np.array_split(np.argsort(confidence), N_BINS):
        mass += len(part) / len(confidence) * abs(right[part].mean() - confidence[part].mean())
    assert found.adaptive_ece.value == pytest.approx(mass, abs=1e-12)
    assert found.excess.value == pytest.approx(confidence.mean() - right.mean())


def test_the_bins_of_the_curve_hold_each_prediction_once_and_are_wide_and_full_enough() -> None:
    logits, targets = drawn(40, 50, 1, scale=4.0)  # most are close to 1
    confidence, right = predicted(logits, targets)
    found = reliability(confidence, right, texts(40, 50), resamples=20)
    assert sum(each.n for each in found.bins) == len(confidence)
    assert all(each.high - each.low >= 0.05 and each.n >= len(confidence) // 40 for each in found.bins)
    assert len(found.bins) > 5
    for each in found.bins[:-1]:
        members = (confidence >= each.low) & (confidence < each.high)
        assert each.n == members.sum()
        assert each.accuracy.value == pytest.approx(right[members].mean())
        assert each.confidence == pytest.approx(confidence[members].mean())
        assert each.accuracy.interval is not None
    assert sum(found.histogram) == pytest.approx(1)


@pytest.mark.parametrize("scale", [0.4, 1.0, 1.3, 3.0])
def test_the_temperature_is_that_with_the_highest_likelihood(scale: float) -> None:
    logits, targets = drawn(30, 40, 2, scale=scale)

    def nll(beta: float) -> float:
        return -float(log_softmax(beta * logits, axis=1)[np.arange(len(logits)), targets].mean())

    best = minimize_scalar(nll, bounds=(0.1, 6.0), method="bounded", options={"xatol": 1e-8})
    found = best_temperature(slopes_of(logits, targets, 30), resamples=50)
    assert found.value == pytest.approx(1 / best.x, rel=2e-3)
    assert found.interval is not None
    assert found.interval[0] < found.value < found.interval[1]
    assert found.interval[0] < scale < found.interval[1]


def test_beyond_the_grid_the_temperature_is_that_of_its_end() -> None:
    logits, targets = drawn(10, 20, 3, scale=20.0)
    assert best_temperature(slopes_of(logits, targets, 10), resamples=5).value == pytest.approx(4)
    assert best_temperature(slopes_of(logits / 1000, targets, 10), resamples=5).value == pytest.approx(1 / 4)


def test_a_model_that_knows_its_own_uncertainty_is_calibrated_and_one_that_doubles_it_is_not() -> None:
    logits, targets = drawn(60, 40, 4)
    fair = reliability(*predicted(logits, targets), texts(60, 40))
    assert fair.ece.interval is not None
    assert fair.ece.interval[0] == 0
    assert not fair.excess.excludes(0)
    assert fair.ece.value < 2.5 * fair.by_chance
    sure = reliability(*predicted(2 * logits, targets), texts(60, 40))
    assert sure.ece.excludes(0)
    assert sure.excess.excludes(0)
    assert sure.excess.value > 0.1
    assert best_temperature(slopes_of(2 * logits, targets, 60)).value == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("scale", [1.0, 1.25, 2.0])
def test_the_intervals_cover_the_true_values(scale: float) -> None:
    n_texts, length, n = 40, 25, 120
    many, their_targets = drawn(4000, length, 99, scale=scale)
    confidence, right = predicted(many, their_targets)
    true = reliability(confidence, right, texts(4000, length), resamples=0)
    true_error = 0.0 if scale == 1.0 else true.ece.value
    hits = dict.fromkeys(("ece", "excess", "temperature"), 0)
    for seed in range(n):
        logits, targets = drawn(n_texts, length, seed, scale=scale)
        found = reliability(*predicted(logits, targets), texts(n_texts, length), resamples=200)
        assert found.ece.interval is not None
        hits["ece"] += found.ece.interval[0] <= true_error <= found.ece.interval[1]
        hits["excess"] += not found.excess.excludes(true.excess.value)
        hits["temperature"] += not best_temperature(slopes_of(logits, targets, n_texts), resamples=200).excludes(scale)
    assert hits["ece"] >= 0.93 * n
    assert all(count >= 0.88 * n for count in hits.values()), hits  # of 95 %: with 40 texts, a little less


def test_the_interval_is_over_texts_not_over_predictions() -> None:
    values = np.random.default_rng(0).normal(size=50).repeat(20)  # all predictions of a text are alike
    by_text = mean_by_text(values, texts(50, 20))
    alone = mean_by_text(values, np.arange(1000))
    assert by_text.value == pytest.approx(values.mean())
    assert by_text.interval is not None
    assert alone.interval is not None
    widths = [high - low for low, high in (by_text.interval, alone.interval)]
    assert widths[0] == pytest.approx(widths[1] * 20**0.5, rel=0.2)


def test_one_text_has_no_interval_and_equal_confidences_are_one_bin() -> None:
    found = reliability(np.full(8, 0.5), np.array([1, 0] * 4, bool), np.zeros(8, np.int64))
    assert len(found.bins) == 1
    assert found.ece.interval is None
    assert not found.ece.excludes(0.3)
    assert found.bins[0].accuracy.value == 0.5
    assert found.excess.value == 0


def test_bins_whose_predictions_are_all_right_have_an_interval_too() -> None:
    confidence = np.concatenate([np.full(40, 0.55), np.full(60, 0.995)])
    right = np.array([True, False] * 20 + [True] * 60)
    found = reliability(confidence, right, np.arange(100) % 10)
    last = found.bins[-1].accuracy
    assert last.value == 1
    assert last.interval is not None
    assert 0.9 < last.interval[0] < last.interval[1] == 1
    assert not last.excludes(0.995)
