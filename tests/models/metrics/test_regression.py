"""Correlations and errors equal SciPy's and scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terrarium.models.metrics.regression import score_regression

scores = st.floats(-1e6, 1e6).map(lambda x: round(x, 2))


@given(st.lists(st.tuples(scores, scores), min_size=2, max_size=30))
@settings(max_examples=30, deadline=None)
def test_values_equal_the_references(pairs: list[tuple[float, float]]) -> None:
    from scipy import stats
    from sklearn.metrics import mean_absolute_error, root_mean_squared_error

    gold, predicted = map(list, zip(*pairs, strict=True))
    report = score_regression(gold, predicted, resamples=0)
    assert report.scores["mae"].value == pytest.approx(mean_absolute_error(gold, predicted))
    assert report.details["rmse"] == pytest.approx(root_mean_squared_error(gold, predicted))
    if len(set(gold)) == 1 or len(set(predicted)) == 1:
        assert report.value is None
        assert "at least two different scores" in report.notes[0]
        return
    assert report.value == pytest.approx(stats.pearsonr(gold, predicted).statistic, abs=1e-7)
    assert report.scores["spearman"].value == pytest.approx(stats.spearmanr(gold, predicted).statistic)


def test_a_drawing_of_items_has_its_own_ranks() -> None:
    """The interval of Spearman's ρ is that of drawings that are ranked anew."""
    from scipy import stats

    rng = np.random.default_rng(3)
    x = rng.normal(size=25).round(1)
    y = (x + rng.normal(size=25)).round(1)
    draws = [rng.integers(25, size=25) for _ in range(400)]
    slow = np.quantile([stats.spearmanr(x[d], y[d]).statistic for d in draws], [0.025, 0.975])
    interval = score_regression(x, y).scores["spearman"].interval
    assert interval == pytest.approx(tuple(slow), abs=0.06)


def test_huge_scores_do_not_overflow() -> None:
    report = score_regression([1e300, -1e300, 2e299], [1e300, -9e299, 3e299], resamples=50)
    assert report.value == pytest.approx(1, abs=0.01)


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="Item 2 of the predictions is not a number"):
        score_regression([1.0, 2.0], [1.0, float("nan")])
