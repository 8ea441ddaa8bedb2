"""Student's interval of a mean of few values, against the published quantiles of his distribution."""

import math
import statistics

import pytest

from terrarium.models.metrics.intervals import student


@pytest.mark.parametrize(("n", "quantile"), [(2, 12.7062), (3, 4.30265), (4, 3.18245), (10, 2.26216), (31, 2.04227)])
def test_quantiles_are_the_published_ones(n: int, quantile: float) -> None:
    values = [float(i % 7) for i in range(n)]
    interval = student(values)
    assert interval is not None
    margin = quantile * statistics.stdev(values) / math.sqrt(n)
    mean = statistics.fmean(values)
    assert interval == pytest.approx((mean - margin, mean + margin), rel=1e-5)


def test_one_value_has_no_interval() -> None:
    assert student([1.0]) is None
    assert student([2.0, 2.0, 2.0]) == (2.0, 2.0)
