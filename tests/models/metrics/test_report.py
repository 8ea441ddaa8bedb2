"""Intervals hold what they promise; a report survives its file."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terrarium.models.metrics.classification import score_classification, score_multi_label
from terrarium.models.metrics.intervals import bootstrap, mean, paired_bootstrap, wilson
from terrarium.models.metrics.metrics_table import format_score
from terrarium.models.metrics.regression import score_regression
from terrarium.models.metrics.report import report_from_dict
from terrarium.models.metrics.tagging import score_tagging
from terrarium.models.metrics.texts import score_answers


@pytest.mark.parametrize(  # R: prop.test(x, n, correct = FALSE)
    ("n_right", "n", "low", "high"), [(0, 10, 0, 0.2775328), (8, 10, 0.4901625, 0.9433178), (10, 10, 0.7224672, 1)]
)
def test_wilson(n_right: int, n: int, low: float, high: float) -> None:
    assert wilson(n_right, n) == pytest.approx((low, high), abs=1e-6)


@given(st.integers(1, 1000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_share(numbers: tuple[int, int]) -> None:
    n_right, n = numbers
    low, high = wilson(n_right, n) or (1, 0)
    assert 0 <= low <= n_right / n <= high <= 1


def test_no_items_have_no_interval() -> None:
    assert wilson(0, 0) is None
    assert bootstrap(mean([])) is None
    assert bootstrap(mean([1.0])) is None


def test_the_bootstrap_of_a_mean_is_its_standard_error_wide() -> None:
    values = np.random.default_rng(0).normal(size=400)
    low, high = bootstrap(mean(values), 2000) or (0, 0)
    assert (high - low) / 2 == pytest.approx(1.96 * values.std() / 20, rel=0.08)
    assert bootstrap(mean(values), 200, seed=1) == bootstrap(mean(values), 200, seed=1)


def test_chance_is_not_taken_for_a_difference() -> None:
    rng = np.random.default_rng(5)
    a, b = (mean(rng.random(300) < 0.7) for _ in range(2))
    assert paired_bootstrap(a, b).p_value > 0.05
    assert paired_bootstrap(a, mean(rng.random(300) < 0.9)).p_value < 0.01


def test_a_report_survives_its_file() -> None:
    report = score_answers([["mill"], []], ["mill", ""], resamples=20)
    read = report_from_dict(json.loads(json.dumps(report.to_dict())))
    assert read.to_dict() == report.to_dict()
    assert (read.value, read.interval) == (report.value, report.interval)


@pytest.mark.parametrize(
    "change", [{"n": None}, {"scores": []}, {"headline": "accuracy"}, {"scores": {"accuracy": {"value": "x"}}}]
)
def test_a_damaged_report_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Evaluate again"):
        report_from_dict(score_answers([["mill"]], ["mill"]).to_dict() | change)


labels = st.text(max_size=2)
tags = st.lists(st.sampled_from(["O", "B-A", "I-A", "I-B", "NOUN", "B", "", "L-A", "-", "B-"]), max_size=6)


@pytest.mark.filterwarnings("error")
@given(
    st.lists(st.tuples(labels, labels, tags, tags, st.integers(-3, 3), st.integers(-3, 3)), max_size=5),
    st.sampled_from([None, "IOB1", "BILOU"]),
)
@settings(max_examples=30, deadline=None)
def test_any_predictions_give_numbers_or_a_sentence(rows: list[tuple[Any, ...]], scheme: str | None) -> None:
    """Whatever is compared: empty texts, unseen labels and tags, rows of other lengths, no rows at all."""
    a, b, gold_tags, tags, x, y = (list(column) for column in zip(*rows, strict=True)) if rows else ([],) * 6
    names = sorted(set(b))
    probabilities = np.full((len(rows), len(names)), 1 / max(1, len(names)))
    for report in (
        score_classification(a, b, labels=names, probabilities=probabilities, resamples=20),
        score_multi_label(gold_tags, tags, labels=["O"], resamples=20),
        score_tagging(gold_tags, tags, scheme=scheme, resamples=20),
        score_answers([[one] if one else [] for one in a], b, resamples=20),
        score_regression(x, y, resamples=20),
    ):
        assert report.n == len(rows) == len(report.item_scores)
        assert np.isfinite(report.item_scores).all()
        for score in report.scores.values():
            assert score.note or (score.value is not None and np.isfinite(score.value))
            assert score.interval is None or np.isfinite(score.interval).all()


def test_no_interval_claims_certainty() -> None:
    labels = ["a", "b"] * 15
    report = score_classification(labels, labels)
    f1, accuracy = report.scores["macro_f1"], report.scores["accuracy"]
    assert f1.value == 1.0
    assert f1.interval == accuracy.interval != (1.0, 1.0)
    assert "Wilson" in (f1.note or "")
    assert report.scores["mcc"].interval is None, "MCC is no share"
    wrong = score_classification(labels, labels[::-1]).scores["macro_f1"]
    assert wrong.value == 0.0
    assert wrong.interval is None


def test_another_headline() -> None:
    report = score_classification(["a", "b"], ["a", "a"], resamples=0)
    assert report.with_headline("accuracy").value == 0.5
    with pytest.raises(ValueError, match="macro_f1"):
        report.with_headline("bleu")


def test_reports_of_the_same_items_are_joined() -> None:
    one, other = score_classification(["a"], ["a"]), score_answers([["a"]], ["a"])
    both = one.joined(other)
    assert both.headline == "macro_f1"
    assert set(both.scores) == set(one.scores) | set(other.scores)
    assert "confusion" in both.details
    assert "has_answer" in both.details


def test_values_in_words() -> None:
    assert format_score("accuracy", 0.976) == "97.6\u00a0%"
    assert format_score("bleu", 48.31) == "48.3"
    assert format_score("mcc", -0.25) == "−0.250"
    assert format_score("auc", None) == "–"
