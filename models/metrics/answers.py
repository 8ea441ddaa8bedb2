"""Scores of short answers: exact match and word F1, also for unanswerable questions. No torch import.

The definitions are those of SQuAD 2.0's evaluation script (Rajpurkar 2018).
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

import numpy as np

from terrarium.models.metrics.classification import precision_recall_f1
from terrarium.models.metrics.intervals import RESAMPLES, additive, divide, mean
from terrarium.models.metrics.report import Report, bootstrapped, check_lengths, proportion

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalise(text: str) -> str:
    """Normalise a text: lower case, without ASCII punctuation and English articles, words separated by one space."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split())


def exact_match(gold: Sequence[str], predicted: str) -> bool:
    """Return whether a normalised answer equals a gold answer. Without gold answers it must be empty."""
    return normalise(predicted) in {normalise(answer) for answer in _right_ones(gold)}


def token_f1(gold: Sequence[str], predicted: str) -> float:
    """Compute the word-overlap F1 of an answer and the most similar gold answer.

    Without gold answers, or if all are empty after normalisation: 1 if the answer is empty, too, else 0.
    """
    return max(_word_f1(normalise(answer).split(), normalise(predicted).split()) for answer in _right_ones(gold))


def _right_ones(gold: Sequence[str]) -> Sequence[str]:
    """Return the gold answers that are not empty after normalisation, or [""] if there are none."""
    return [answer for answer in gold if normalise(answer)] or [""]


def _word_f1(gold: list[str], predicted: list[str]) -> float:
    if not gold or not predicted:
        return float(gold == predicted)
    shared = (Counter(gold) & Counter(predicted)).total()
    return precision_recall_f1(shared, len(predicted), len(gold))["f1"]


def score_answers(gold: Sequence[Sequence[str]], predicted: Sequence[str], *, resamples: int = RESAMPLES) -> Report:
    """Compute exact_match (the headline), token_f1 and no_answer_f1 of answers to questions; "" stands for “no answer”.

    no_answer_f1: F1 of detecting that a question has no answer.

    Args:
        gold: the gold answers of each question; empty if it has no answer.

    Details: `has_answer` and `no_answer`, each n, exact_match, token_f1 (None if n is 0); `no_answer_detection`,
    precision, recall and F1.

    Raises:
        ValueError: if the lengths differ.
    """
    check_lengths(len(gold), len(predicted))
    exact = [exact_match(answers, answer) for answers, answer in zip(gold, predicted, strict=True)]
    f1 = [token_f1(answers, answer) for answers, answer in zip(gold, predicted, strict=True)]
    unanswerable = np.array([_right_ones(answers) == [""] for answers in gold], dtype=bool)
    refused = np.array([not normalise(answer) for answer in predicted], dtype=bool)
    detection = np.column_stack([unanswerable & refused, refused, unanswerable]).astype(np.float64)
    scores = {
        "exact_match": proportion(exact),
        "token_f1": bootstrapped(mean(f1), resamples, "There are no items.", is_share=True),
        "no_answer_f1": bootstrapped(
            additive(detection, lambda sums: divide(2 * sums[:, 0], sums[:, 1] + sums[:, 2], np.nan)),
            resamples,
            "Every question has an answer, and each was given one.",
        ),
    }

    def part(members: list[int]) -> dict[str, float | int | None]:
        n = len(members)
        return {
            "n": n,
            "exact_match": sum(exact[i] for i in members) / n if n else None,
            "token_f1": sum(f1[i] for i in members) / n if n else None,
        }

    details = {
        "has_answer": part(np.flatnonzero(~unanswerable).tolist()),
        "no_answer": part(np.flatnonzero(unanswerable).tolist()),
        "no_answer_detection": precision_recall_f1(*(float(total) for total in detection.sum(axis=0))),
    }
    return Report(headline="exact_match", n=len(gold), scores=scores, details=details, item_scores=tuple(f1))
