"""Reward against KL: the law is found again in made curves, and what is possible is what sums over outcomes give."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest

from terrarium.models.alignment.overoptimisation import (
    MIN_POINTS,
    EvalPoint,
    eval_points,
    fit_gao,
    frontier,
    least_kl,
    parent_curves,
    peak_of,
    predicted,
    read_parent_curves,
    write_parent_curves,
)


def points(*golds: float, n: int = 128) -> list[EvalPoint]:
    return [EvalPoint(step=5 * i, kl=0.5 * i, gold=gold, n=n) for i, gold in enumerate(golds)]


@pytest.mark.parametrize("is_best_of", [False, True])
def test_the_law_is_found_again_in_a_made_curve(is_best_of: bool) -> None:
    d = np.linspace(0.0, 2.5, 12)
    second = d if is_best_of else np.log(np.maximum(d, 1e-12))
    gold = 0.07 + d * (0.5 - 0.22 * second)
    fit = fit_gao((d**2).tolist(), gold.tolist(), is_best_of=is_best_of)
    assert fit is not None
    assert (fit.alpha, fit.beta, fit.start, fit.r2) == pytest.approx((0.5, 0.22, 0.07, 1.0))
    assert fit.gold(d) == pytest.approx(gold)
    top = d[0] + np.linspace(0.01, 10, 20_000)
    assert fit.peak == pytest.approx(float(top[fit.gold(top).argmax()]), abs=0.01)


def test_noise_lowers_what_the_law_explains() -> None:
    d = np.linspace(0.0, 2.5, 30)
    noise = np.random.default_rng(0).normal(0, 0.05, len(d))
    fit = fit_gao((d**2).tolist(), (0.05 + d * (0.5 - 0.3 * np.log(d + 1e-12)) + noise).tolist(), is_best_of=False)
    assert fit is not None
    assert (fit.alpha, fit.beta) == pytest.approx((0.5, 0.3), abs=0.1)
    assert 0.5 < fit.r2 < 0.99


def test_no_law_from_too_few_looks_or_from_looks_at_one_place() -> None:
    few = [0.1 * i for i in range(MIN_POINTS - 1)]
    assert fit_gao(few, few, is_best_of=False) is None
    assert fit_gao([*few, 1.0], [*few, math.nan], is_best_of=False) is None, "what is unknown does not count"
    assert fit_gao([1.0] * 9, [0.1 * i for i in range(9)], is_best_of=False) is None
    assert fit_gao([0.5 * i for i in range(9)], [0.3] * 9, is_best_of=False) is None, "nothing to explain"
    rising = fit_gao([0.5 * i for i in range(9)], [math.sqrt(0.5 * i) for i in range(9)], is_best_of=True)
    assert rising is not None
    assert rising.peak > 1e3, "it only rises"


def test_the_peak_is_the_earliest_of_equals_and_chance_is_told_from_a_fall() -> None:
    assert peak_of([EvalPoint(step=0, kl=0.0)]) is None
    clear = peak_of(points(0.05, 0.4, 0.4, 0.1))
    assert clear is not None
    assert (clear.point.step, clear.last.step, clear.is_clear) == (5, 15, True)
    assert clear.fallen == pytest.approx(0.3)
    assert clear.error == pytest.approx(math.sqrt((0.4 * 0.6 + 0.1 * 0.9) / 128))
    chance = peak_of(points(0.05, 0.4, 0.37))
    assert chance is not None
    assert not chance.is_clear
    unknown = peak_of(points(0.05, 0.4, 0.1, n=0))
    assert unknown is not None
    assert math.isnan(unknown.error)
    assert not unknown.is_clear


def test_looks_are_put_together_by_step() -> None:
    found = eval_points({0: 0.0, 10: 2.0, 20: math.nan}, {0: 0.1, 10: 1.5}, {10: 0.5}, {10: 100.0})
    assert [look.step for look in found] == [0, 10]
    assert math.isnan(found[0].gold)
    assert found[0].interval is None
    assert (found[1].proxy, found[1].gold, found[1].n) == (1.5, 0.5, 100)
    interval = found[1].interval
    assert interval is not None
    assert interval == pytest.approx((0.404, 0.596), abs=1e-3)


def test_the_frontier_is_the_kl_of_two_coins() -> None:
    assert least_kl(0.07, 0.07) == 0
    assert least_kl(0.07, 1.0) == pytest.approx(math.log(1 / 0.07)), "the price of the wish"
    assert least_kl(0.0, 0.5) == math.inf
    kl, gold = frontier(0.07)
    assert (kl[0], gold[0], gold[-1]) == (0, 0.07, 1)
    assert (np.diff(kl) > 0).all()
    assert not len(frontier(0.0)[0])
    # The same by reweighting replies of which every seventh, or so, is meant.
    meant = [[1.0] * 70 + [0.0] * 930]
    for point in predicted(meant, meant):
        assert least_kl(0.07, point.gold) == pytest.approx(point.kl, abs=1e-9)


def test_optimizing_the_proxy_is_foreseen_as_far_as_the_replies_carry_it() -> None:
    rng = np.random.default_rng(1)
    proxy = rng.normal(size=(4, 512))
    gold = (proxy < 1.0).astype(float)  # what scores highest is what was not meant
    points = predicted(proxy.tolist(), gold.tolist())
    assert points[0].kl == 0
    assert points[0].gold == pytest.approx(gold.mean())
    assert all(b.kl > a.kl and b.proxy > a.proxy for a, b in itertools.pairwise(points))
    assert points[-1].gold < points[0].gold - 0.3
    assert all(point.n_effective >= 32 for point in points)
    # A normal distribution shifted by λ has the KL λ² / 2 and the mean λ.
    for point in points[1:]:
        assert point.proxy == pytest.approx(math.sqrt(2 * point.kl), abs=0.15)
    flat = predicted([[0.5] * 40], [[1.0] * 40])
    assert [(point.kl, point.gold) for point in flat] == [(0, 1)], "nothing to optimize"


def test_curves_of_the_parent_are_kept(tmp_path: Path) -> None:
    assert read_parent_curves(tmp_path) is None
    curves = parent_curves([[0.0, 1.0, 2.0, 3.0]] * 2, [[math.nan] * 4] * 2)
    write_parent_curves(tmp_path, curves)
    again = read_parent_curves(tmp_path)
    assert again is not None
    assert (again.n_prompts, again.n_replies, math.isnan(again.share)) == (2, 4, True)
    assert [point.n for point in again.best_of] == [1, 2, 4]
    assert [point.proxy for point in again.best_of] == pytest.approx([1.5, 14 / 6, 3.0])
    known = parent_curves([[0.0, 1.0]] * 3, [[0.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
    assert known.best_of[0].gold_error > 0
    write_parent_curves(tmp_path, known)
    assert read_parent_curves(tmp_path) == known
    (tmp_path / "best_of.json").write_text('{"n_prompts": 2}', encoding="utf-8")
    with pytest.raises(ValueError, match=r"best_of.json is damaged"):
        read_parent_curves(tmp_path)
