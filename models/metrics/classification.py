"""Single-label and multi-label classification metrics, equal to scikit-learn's. No torch import."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from terrarium.models.metrics.intervals import RESAMPLES, Array, Measure, additive, divide, mid_ranks
from terrarium.models.metrics.report import Report, Score, bootstrapped, check_lengths, proportion

CALIBRATION_BINS = 10


def score_classification(
    gold: Sequence[str],
    predicted: Sequence[str],
    *,
    labels: Sequence[str] = (),
    probabilities: ArrayLike | None = None,
    resamples: int = RESAMPLES,
) -> Report:
    """Score one label per item: macro_f1 (the headline), accuracy, mcc, weighted_f1; with probabilities auc, ece.

    Averages are over the labels that occur among `gold` or `predicted`, as in scikit-learn.

    Args:
        labels: the order of the labels, and of the columns of `probabilities` [n, n_labels]; other labels follow.
        resamples: number of bootstrap resamples; 0 for no bootstrap interval.

    Details: `labels`; `confusion` [gold][predicted], counts; `per_label`, rows of label, precision, recall, f1, n_gold,
    n_predicted; `averages`, precision, recall and F1 as macro, micro and weighted; with probabilities `calibration`,
    bins of low, high, n, confidence, accuracy (the last two None if n is 0).

    Raises:
        ValueError: if the lengths differ, or `probabilities` has the wrong shape.
    """
    check_lengths(len(gold), len(predicted))
    names = _all_labels(labels, [*gold, *predicted])
    index = {name: i for i, name in enumerate(names)}
    rows = np.array([index[label] for label in gold], dtype=np.int64)
    columns = np.array([index[label] for label in predicted], dtype=np.int64)
    k = len(names)
    confusion = np.bincount(rows * k + columns, minlength=k * k).reshape(k, k)
    right = rows == columns
    identity = np.eye(k)
    items = np.hstack([identity[rows] * right[:, None], identity[columns], identity[rows]])
    one_label = "All items have the same label." if len(set(gold)) == 1 else None
    scores = {
        "macro_f1": bootstrapped(additive(items, _macro_f1), resamples, "There are no labels.", is_share=True),
        "accuracy": proportion(right.tolist(), one_label),
        "mcc": bootstrapped(
            additive(items, _mcc), resamples, "There are no labels.", one_label and f"{one_label} MCC is 0."
        ),
        "weighted_f1": bootstrapped(additive(items, _weighted_f1), resamples, "There are no labels.", is_share=True),
    }
    details: dict[str, Any] = {"labels": names, "confusion": confusion.tolist()}
    details |= _label_details(names, np.diag(confusion), confusion.sum(0), confusion.sum(1))
    item_scores = right.astype(np.float64)
    if probabilities is not None:
        table = _checked_probabilities(probabilities, len(gold), len(labels))
        known = rows < len(labels)
        scores["auc"] = _auc_score(table, rows, len(labels), resamples)
        scores["ece"], details["calibration"] = _calibration(table.max(axis=1, initial=0.0), right, resamples)
        of_gold = np.zeros(len(gold))
        of_gold[known] = table[np.flatnonzero(known), rows[known]]
        item_scores = of_gold
    return Report(
        headline="macro_f1", n=len(gold), scores=scores, details=details, item_scores=tuple(item_scores.tolist())
    )


def score_multi_label(
    gold: Sequence[Collection[str]],
    predicted: Sequence[Collection[str]],
    *,
    labels: Sequence[str] = (),
    resamples: int = RESAMPLES,
) -> Report:
    """Score any number of labels per item: micro_f1 (the headline), macro_f1, exact_match (all labels right).

    Details: `labels`, `per_label` and `averages` as in `score_classification`.

    Raises:
        ValueError: if the lengths differ.
    """
    check_lengths(len(gold), len(predicted))
    names = _all_labels(labels, [label for item in (*gold, *predicted) for label in item])
    index = {name: i for i, name in enumerate(names)}
    of_gold, of_predicted = (_indicators(item_labels, index) for item_labels in (gold, predicted))
    both = of_gold * of_predicted
    items = np.hstack([both, of_predicted, of_gold])
    undefined = "No item has a label, and none was predicted."
    scores = {
        "micro_f1": bootstrapped(additive(items, _micro_f1), resamples, undefined, is_share=True),
        "macro_f1": bootstrapped(additive(items, _macro_f1), resamples, undefined, is_share=True),
        "exact_match": proportion([set(g) == set(p) for g, p in zip(gold, predicted, strict=True)]),
    }
    details: dict[str, Any] = {"labels": names}
    details |= _label_details(names, both.sum(0), of_predicted.sum(0), of_gold.sum(0))
    size = of_predicted.sum(1) + of_gold.sum(1)
    item_scores = divide(2 * both.sum(1), size, default=1.0)
    return Report(
        headline="micro_f1", n=len(gold), scores=scores, details=details, item_scores=tuple(item_scores.tolist())
    )


def precision_recall_f1(n_right: float, n_predicted: float, n_gold: float) -> dict[str, float]:
    """Compute precision, recall and F1 of one label; 0 if a denominator is 0."""
    return {
        "precision": n_right / n_predicted if n_predicted else 0.0,
        "recall": n_right / n_gold if n_gold else 0.0,
        "f1": 2 * n_right / (n_predicted + n_gold) if n_predicted + n_gold else 0.0,
    }


def _all_labels(first: Sequence[str], others: Iterable[str]) -> list[str]:
    known = list(dict.fromkeys(first))
    return known + sorted(set(others) - set(known))


def _indicators(items: Sequence[Collection[str]], index: dict[str, int]) -> Array:
    table = np.zeros((len(items), len(index)))
    for row, labels in enumerate(items):
        table[row, [index[label] for label in labels]] = 1
    return table


def _thirds(sums: Array) -> tuple[Array, Array, Array]:
    """Split sums [b, 3 k] into how often each label is right, predicted and gold, each [b, k]."""
    right, predicted, gold = np.split(sums, 3, axis=1)
    return right, predicted, gold


def _label_f1(sums: Array) -> Array:
    right, predicted, gold = _thirds(sums)
    return divide(2 * right, predicted + gold)


def _macro_f1(sums: Array) -> Array:
    _, predicted, gold = _thirds(sums)
    return divide(_label_f1(sums).sum(axis=1), (predicted + gold > 0).sum(axis=1), np.nan)


def _micro_f1(sums: Array) -> Array:
    right, predicted, gold = (part.sum(axis=1) for part in _thirds(sums))
    return divide(2 * right, predicted + gold, np.nan)


def _weighted_f1(sums: Array) -> Array:
    gold = _thirds(sums)[2]
    return divide((_label_f1(sums) * gold).sum(axis=1), gold.sum(axis=1), np.nan)


def _mcc(sums: Array) -> Array:
    """Compute Gorodkin's R_K (for two labels: Matthews' coefficient); 0 if gold or predictions have one label only."""
    right, predicted, gold = _thirds(sums)
    n, n_right = gold.sum(axis=1), right.sum(axis=1)
    covariance = n_right * n - (predicted * gold).sum(axis=1)
    variances = (n**2 - (predicted**2).sum(axis=1)) * (n**2 - (gold**2).sum(axis=1))
    return np.where(n > 0, divide(covariance, np.sqrt(np.maximum(variances, 0))), np.nan)


def _label_details(names: Sequence[str], right: Array, predicted: Array, gold: Array) -> dict[str, Any]:
    rows: list[dict[str, Any]] = [
        {"label": name, **precision_recall_f1(float(right[i]), float(predicted[i]), float(gold[i]))}
        | {"n_gold": int(gold[i]), "n_predicted": int(predicted[i])}
        for i, name in enumerate(names)
    ]
    used = [row for row in rows if row["n_gold"] or row["n_predicted"]]
    n_gold = sum(row["n_gold"] for row in used)
    averages = {"micro": precision_recall_f1(float(right.sum()), float(predicted.sum()), float(gold.sum()))}
    for average, weights, total in (
        ("macro", [1] * len(used), len(used)),
        ("weighted", [row["n_gold"] for row in used], n_gold),
    ):
        averages[average] = {
            key: sum(w * row[key] for w, row in zip(weights, used, strict=True)) / total if total else 0.0
            for key in ("precision", "recall", "f1")
        }
    return {"per_label": rows, "averages": averages}


def _checked_probabilities(probabilities: ArrayLike, n: int, k: int) -> Array:
    table = np.asarray(probabilities, dtype=np.float64)
    if table.shape != (n, k):
        raise ValueError(
            f"The probabilities have the shape {table.shape}, not {(n, k)}: one row per item, one column per label."
        )
    if not np.isfinite(table).all():
        raise ValueError("Some probabilities are not numbers: the model's weights may have diverged.")
    return table


def _auc_score(table: Array, rows: Array, k: int, resamples: int) -> Score:
    """Compute the one-vs-rest ROC AUC, averaged over the labels with positive and negative items."""
    judged = [label for label in range(k) if 0 < (rows == label).sum() < len(rows)]
    curves = [_auc(table[:, label], rows == label) for label in judged]

    def of_weights(weights: Array) -> Array:
        if not curves:
            return np.full(len(weights), np.nan)
        values = np.stack([curve(weights) for curve in curves])
        defined = np.isfinite(values)
        return divide(np.where(defined, values, 0).sum(axis=0), defined.sum(axis=0), np.nan)

    return bootstrapped(Measure(len(rows), of_weights), resamples, "AUC needs items with and without a label.")


def _auc(scores: Array, positive: Array) -> Callable[[Array], Array]:
    """Return a function of item weights, [b, n] to [b], for the ROC AUC of `scores`; a tie counts half."""
    ranks = mid_ranks(scores)

    def of_weights(weights: Array) -> Array:
        n_positive, n_negative = (weights * positive).sum(axis=1), (weights * ~positive).sum(axis=1)
        below = (weights * positive * ranks(weights)).sum(axis=1)
        return divide(below - n_positive**2 / 2, n_positive * n_negative, np.nan)

    return of_weights


def _calibration(confidence: Array, right: Array, resamples: int) -> tuple[Score, list[dict[str, Any]]]:
    """Compute the expected calibration error (Guo 2017, equally wide bins), and the bins of its plot."""
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    member = np.eye(CALIBRATION_BINS)[bins]
    items = np.hstack([member * (right - confidence)[:, None], np.ones((len(bins), 1))])
    measure = additive(items, lambda sums: divide(np.abs(sums[:, :-1]).sum(axis=1), sums[:, -1], np.nan))
    counts = member.sum(axis=0)
    rows = [
        {
            "low": i / CALIBRATION_BINS,
            "high": (i + 1) / CALIBRATION_BINS,
            "n": int(counts[i]),
            "confidence": float((member[:, i] @ confidence) / counts[i]) if counts[i] else None,
            "accuracy": float((member[:, i] @ right) / counts[i]) if counts[i] else None,
        }
        for i in range(CALIBRATION_BINS)
    ]
    return bootstrapped(measure, resamples, "There are no items."), rows
