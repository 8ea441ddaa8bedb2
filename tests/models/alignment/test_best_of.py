"""Best-of-n: the curve is what trying all choices gives."""

from __future__ import annotations

import itertools
import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terrarium.models.alignment.best_of import best_of_curve

ROW = st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 1)), min_size=8, max_size=8)


def mean_of_best(row: list[tuple[int, int]], n: int) -> tuple[float, float]:
    """By trying all choices of n, and all of the best of each."""
    chosen = [[one for one in some if one[0] == max(some)[0]] for some in itertools.combinations(row, n)]
    return (
        statistics.fmean(best[0][0] for best in chosen),
        statistics.fmean(statistics.fmean(gold for _, gold in best) for best in chosen),
    )


@given(ROW, ROW)
@settings(max_examples=40)
def test_curve_is_the_mean_over_all_choices(first: list[tuple[int, int]], second: list[tuple[int, int]]) -> None:
    rows = [first, second]
    points = best_of_curve([[s for s, _ in row] for row in rows], [[g for _, g in row] for row in rows])
    assert [point.n for point in points] == [1, 2, 4, 8]
    for point in points:
        proxies, golds = zip(*(mean_of_best(row, point.n) for row in rows), strict=True)
        assert point.proxy == pytest.approx(statistics.fmean(proxies))
        assert point.gold == pytest.approx(statistics.fmean(golds))


def test_kl_of_one_reply_is_zero_and_more_cost_more() -> None:
    points = best_of_curve([[1.0, 2.0, 3.0, 4.0]], [[0.0, 1.0, 1.0, 0.0]])
    assert points[0].kl == 0
    assert points[-1].kl == pytest.approx(1.386 - 0.75, abs=1e-3)
    assert points[-1].to_dict() == {"n": 4, "proxy": 4.0, "gold": 0.0, "gold_error": 0.0, "kl": points[-1].kl}


def test_the_error_of_gold_is_that_of_the_mean_over_prompts() -> None:
    golds = [[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]]
    first, best = best_of_curve([[1.0, 2.0]] * 3, golds)
    assert first.gold_error == pytest.approx(statistics.stdev([0.5, 0.0, 1.0]) / 3**0.5)
    assert best.gold_error == pytest.approx(statistics.stdev([0.0, 0.0, 1.0]) / 3**0.5)


def test_any_number_of_replies_can_be_asked_for() -> None:
    points = best_of_curve([[4.0, 1.0, 3.0]], [[0.0, 0.0, 0.0]], sizes=(1, 2, 3))
    assert [(point.n, point.proxy) for point in points] == [
        (1, pytest.approx(8 / 3)),
        (2, pytest.approx(11 / 3)),
        (3, 4),
    ]
