"""Scores of labels equal scikit-learn's, and odd inputs give a sentence instead of NaN."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terrarium.models.metrics.classification import score_classification, score_multi_label

LABELS = ("calm", "glad", "grim", "sad")
AVERAGES = ("macro", "micro", "weighted")
label_lists = st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from(LABELS)), min_size=1, max_size=30)


def _draw(n: int, k: int = 4, seed: int = 0) -> tuple[list[str], list[str], np.ndarray]:
    """Gold labels, predictions of which half are right, and probabilities that fit the predictions."""
    rng = np.random.default_rng(seed)
    gold = rng.integers(k, size=n)
    logits = rng.normal(size=(n, k)) + 1.5 * np.eye(k)[gold]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return [LABELS[i] for i in gold], [LABELS[i] for i in probabilities.argmax(axis=1)], probabilities


@given(label_lists)
@settings(max_examples=15, deadline=None)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_one_label_per_item_equals_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    from sklearn import metrics as sk

    gold, predicted = map(list, zip(*pairs, strict=True))
    report = score_classification(gold, predicted, resamples=0)
    averages = report.details["averages"]
    for average in AVERAGES:
        expected = sk.precision_recall_fscore_support(gold, predicted, average=average, zero_division=0)[:3]
        assert list(averages[average].values()) == pytest.approx(expected)
    assert report.value == pytest.approx(averages["macro"]["f1"])
    assert report.scores["weighted_f1"].value == pytest.approx(averages["weighted"]["f1"])
    assert report.scores["accuracy"].value == pytest.approx(sk.accuracy_score(gold, predicted))
    assert report.scores["mcc"].value == pytest.approx(sk.matthews_corrcoef(gold, predicted))
    assert report.details["confusion"] == sk.confusion_matrix(gold, predicted, labels=report.details["labels"]).tolist()
    rows = {row["label"]: row for row in report.details["per_label"]}
    by_label = sk.classification_report(gold, predicted, output_dict=True, zero_division=0)
    for label, row in rows.items():
        assert row["f1"] == pytest.approx(by_label[label]["f1-score"])


def test_probabilities_give_auc_and_calibration() -> None:
    from sklearn import metrics as sk
    from sklearn.calibration import calibration_curve

    gold, predicted, probabilities = _draw(400)
    report = score_classification(gold, predicted, labels=LABELS, probabilities=probabilities, resamples=0)
    assert report.scores["auc"].value == pytest.approx(
        sk.roc_auc_score(gold, probabilities, multi_class="ovr", labels=LABELS)
    )
    bins = [row for row in report.details["calibration"] if row["n"]]
    right = [g == p for g, p in zip(gold, predicted, strict=True)]
    accuracy, confidence = calibration_curve(right, probabilities.max(axis=1), n_bins=10)
    assert [row["accuracy"] for row in bins] == pytest.approx(accuracy.tolist())
    assert [row["confidence"] for row in bins] == pytest.approx(confidence.tolist())
    error = sum(row["n"] * abs(row["accuracy"] - row["confidence"]) for row in bins) / 400
    assert report.scores["ece"].value == pytest.approx(error)
    assert report.item_scores[3] == probabilities[3, LABELS.index(gold[3])]


def test_auc_with_ties_and_two_labels() -> None:
    from sklearn import metrics as sk

    gold = ["no", "yes", "no", "yes", "yes"]
    probabilities = np.array([[0.5, 0.5], [0.5, 0.5], [0.9, 0.1], [0.2, 0.8], [0.5, 0.5]])
    report = score_classification(gold, gold, labels=("no", "yes"), probabilities=probabilities, resamples=0)
    assert report.scores["auc"].value == pytest.approx(
        sk.roc_auc_score([g == "yes" for g in gold], probabilities[:, 1])
    )


def test_intervals_hold_the_value() -> None:
    gold, predicted, probabilities = _draw(200)
    report = score_classification(gold, predicted, labels=LABELS, probabilities=probabilities, resamples=200)
    for name in ("macro_f1", "accuracy", "mcc", "weighted_f1", "auc"):
        score = report.scores[name]
        assert score.value is not None
        assert score.interval is not None
        assert score.interval[0] < score.value < score.interval[1]


@settings(max_examples=40, deadline=None)
@given(st.permutations(LABELS), label_lists)
def test_the_order_of_labels_changes_no_score(order: list[str], pairs: list[tuple[str, str]]) -> None:
    gold, predicted = map(list, zip(*pairs, strict=True))
    one = score_classification(gold, predicted, labels=LABELS, resamples=0)
    other = score_classification(gold, predicted, labels=order, resamples=0)
    for name, score in one.scores.items():
        assert other.scores[name].value == pytest.approx(score.value)


def test_labels_that_training_never_saw_count_as_wrong() -> None:
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8]])
    report = score_classification(["calm", "new"], ["calm", "glad"], labels=LABELS[:2], probabilities=probabilities)
    assert report.details["labels"] == ["calm", "glad", "new"]
    assert report.scores["accuracy"].value == 0.5
    assert report.item_scores == (0.9, 0.0)


def test_one_label_only_says_so() -> None:
    report = score_classification(["calm"] * 3, ["calm"] * 3, labels=LABELS, probabilities=np.full((3, 4), 0.25))
    assert report.scores["mcc"].value == 0
    assert report.scores["auc"].value is None
    assert "All items have the same label. MCC is 0." in report.notes


@pytest.mark.parametrize(
    ("probabilities", "sentence"),
    [(np.ones((2, 3)), "one column per label"), (np.full((2, 4), np.nan), "not numbers")],
)
def test_wrong_probabilities_are_refused(probabilities: np.ndarray, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        score_classification(["calm", "sad"], ["calm", "sad"], labels=LABELS, probabilities=probabilities)


def test_unequal_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="2 items but 1 predictions"):
        score_classification(["calm", "sad"], ["calm"])


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.sets(st.sampled_from(LABELS)), st.sets(st.sampled_from(LABELS))), max_size=12))
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_several_labels_equal_scikit_learn(pairs: list[tuple[set[str], set[str]]]) -> None:
    from sklearn import metrics as sk

    gold, predicted = [g for g, _ in pairs], [p for _, p in pairs]
    report = score_multi_label(gold, predicted, labels=LABELS, resamples=0)
    if not any(g or p for g, p in pairs):
        assert report.value is None
        assert report.notes
        return
    used = [i for i, label in enumerate(LABELS) if any(label in g or label in p for g, p in pairs)]
    of_gold, of_predicted = (
        np.array([[label in row for label in LABELS] for row in rows], dtype=int) for rows in (gold, predicted)
    )
    by_label = sk.f1_score(of_gold, of_predicted, average=None, zero_division=0)
    assert report.scores["macro_f1"].value == pytest.approx(by_label[used].mean())
    assert report.value == pytest.approx(sk.f1_score(of_gold, of_predicted, average="micro", zero_division=0))
    assert report.scores["exact_match"].value == pytest.approx(sk.accuracy_score(of_gold, of_predicted))
