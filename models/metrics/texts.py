"""Scores of texts generated from others: translations, summaries, answers. No torch import.

Short answers are scored as by SQuAD 2.0's evaluation script (Rajpurkar 2018), unanswerable questions included.

ROUGE counts words of ASCII letters and digits, so texts in other scripts score 0.

sacrebleu is imported lazily. Both scores are functions of sums over the items, which sacrebleu computes.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from terrarium.models.metrics.classification import precision_recall_f1
from terrarium.models.metrics.intervals import RESAMPLES, Array, additive, divide, mean
from terrarium.models.metrics.report import Report, Score, bootstrapped, check_lengths, proportion

ROUGES = ("rouge_1", "rouge_2", "rouge_l", "rouge_lsum")
_BETWEEN_WORDS = re.compile(r"[^a-z0-9]+")
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def words(text: str) -> list[str]:
    """Return the words that ROUGE compares: runs of ASCII letters and digits, in lower case."""
    return [word for word in _BETWEEN_WORDS.split(text.lower()) if word]


def rouge(reference: str, predicted: str) -> dict[str, dict[str, float]]:
    """Compute precision, recall and F1 of each of `ROUGES`. For rouge_lsum, sentences are lines."""
    gold, found = words(reference), words(predicted)
    return {
        "rouge_1": _rouge_n(gold, found, 1),
        "rouge_2": _rouge_n(gold, found, 2),
        "rouge_l": precision_recall_f1(len(_common_subsequence(gold, found)), len(found), len(gold)),
        "rouge_lsum": _rouge_lsum(reference, predicted),
    }


def ngrams(sequence: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    """Count the n-grams of a sequence of words."""
    return Counter(tuple(sequence[i : i + n]) for i in range(len(sequence) - n + 1))


def _rouge_n(gold: list[str], found: list[str], n: int) -> dict[str, float]:
    of_gold, of_found = ngrams(gold, n), ngrams(found, n)
    return precision_recall_f1((of_gold & of_found).total(), of_found.total(), of_gold.total())


def _rouge_lsum(reference: str, predicted: str) -> dict[str, float]:
    """Compute ROUGE-Lsum, by the union of each reference sentence's common subsequences with all predicted ones."""
    gold, found = ([w for w in map(words, text.splitlines()) if w] for text in (reference, predicted))
    left_gold, left_found = Counter(w for s in gold for w in s), Counter(w for s in found for w in s)
    n_gold, n_found, hits = left_gold.total(), left_found.total(), 0
    for sentence in gold:
        union = sorted({i for other in found for i in _common_subsequence(sentence, other)})
        for word in (sentence[i] for i in union):
            if left_gold[word] > 0 and left_found[word] > 0:
                hits += 1
                left_gold[word] -= 1
                left_found[word] -= 1
    return precision_recall_f1(hits, n_found, n_gold)


def _common_subsequence(gold: list[str], found: list[str]) -> list[int]:
    """Return the indices in `gold` of a longest common subsequence; of several, the one that rouge-score chooses."""
    rows, columns = len(gold), len(found)
    table = [[0] * (columns + 1) for _ in range(rows + 1)]
    for i in range(1, rows + 1):
        above, row, word = table[i - 1], table[i], gold[i - 1]
        for j in range(1, columns + 1):
            row[j] = above[j - 1] + 1 if word == found[j - 1] else max(above[j], row[j - 1])
    positions = []
    i, j = rows, columns
    while i and j:
        if gold[i - 1] == found[j - 1]:
            i, j = i - 1, j - 1
            positions.append(i)
        elif table[i][j - 1] > table[i - 1][j]:
            j -= 1
        else:
            i -= 1
    return positions[::-1]


TEXT_METRICS = ("exact_match", "chrf2", "bleu", *ROUGES, "token_f1", "length_ratio", "copied_ngrams")
_COPIED = 4  # words in a row that count as copied


def score_texts(
    sources: Sequence[str],
    gold: Sequence[str],
    predicted: Sequence[str],
    *,
    metrics: Sequence[str] = TEXT_METRICS,
    resamples: int = RESAMPLES,
) -> Report:
    """Compute `metrics`, the first of which is the headline. `item_scores` are chrF2 of each text, from 0 to 1.

    exact_match: the share of texts equal to the reference, apart from surrounding whitespace. copied_ngrams: the share
    of the predictions' 4-grams of words that are in the source.

    Details: `signatures`, sacrebleu's, by metric; `rouge`, precision, recall and F1 of each, averaged;
    `reference_copied`, copied_ngrams of the references, None if they have no 4-grams.

    Raises:
        ValueError: if the lengths differ, or a metric is not one of `TEXT_METRICS`.
    """
    check_lengths(len(sources), len(predicted))
    check_lengths(len(gold), len(predicted))
    assert metrics, "a report has a headline"
    if unknown := [name for name in metrics if name not in TEXT_METRICS]:
        raise ValueError(f"{unknown[0]!r} cannot be computed of texts: choose among {', '.join(TEXT_METRICS)}.")
    none = "There are no items."
    scores: dict[str, Score] = {}
    details: dict[str, Any] = {}
    pairs = list(zip(gold, predicted, strict=True))
    overlaps = [name for name in metrics if name in ("chrf2", "bleu")]
    by_sacrebleu, signatures, alone = translation_scores(gold, predicted, overlaps, resamples=resamples)
    scores |= by_sacrebleu
    if overlaps:
        details["signatures"] = signatures
    if wanted := [name for name in ROUGES if name in metrics]:
        rouges = [rouge(a, b) for a, b in pairs]
        scores |= {
            name: bootstrapped(mean([r[name]["f1"] for r in rouges]), resamples, none, is_share=True) for name in wanted
        }
        details["rouge"] = {
            name: {key: sum(r[name][key] for r in rouges) / len(rouges) for key in ("precision", "recall", "f1")}
            for name in wanted
            if rouges
        }
    if "exact_match" in metrics:
        scores["exact_match"] = proportion([a.strip() == b.strip() for a, b in pairs])
    if "token_f1" in metrics:
        scores["token_f1"] = bootstrapped(mean([token_f1([a], b) for a, b in pairs]), resamples, none, is_share=True)
    if "length_ratio" in metrics:
        lengths = [(len(b.split()), len(a.split())) for a, b in pairs]
        scores["length_ratio"] = _ratio(lengths, resamples, "The references have no words.")
    if "copied_ngrams" in metrics:
        copied = [_copied(source, text) for source, text in zip(sources, predicted, strict=True)]
        scores["copied_ngrams"] = _ratio(copied, resamples, f"No text has {_COPIED} words in a row.")
        of_gold = np.sum(
            [_copied(source, text) for source, text in zip(sources, gold, strict=True)] or [(0, 0)], axis=0
        )
        details["reference_copied"] = float(of_gold[0] / of_gold[1]) if of_gold[1] else None
    return Report(
        headline=metrics[0],
        n=len(pairs),
        scores={name: scores[name] for name in metrics},
        details=details,
        item_scores=tuple((alone / 100).tolist()),
    )


def _ratio(parts: Sequence[tuple[int, int]], resamples: int, undefined: str) -> Score:
    """Score the quotient of two sums over the items."""
    table = np.array(parts, dtype=np.float64).reshape(-1, 2)
    return bootstrapped(additive(table, lambda sums: divide(sums[:, 0], sums[:, 1], np.nan)), resamples, undefined)


def _copied(source: str, text: str) -> tuple[int, int]:
    """Return how many of a text's n-grams of _COPIED words are in its source, and how many it has."""
    found, runs = ngrams(source.split(), _COPIED), ngrams(text.split(), _COPIED)
    return sum(n for run, n in runs.items() if run in found), runs.total()


def translation_scores(
    gold: Sequence[str],
    predicted: Sequence[str],
    names: Sequence[str] = ("chrf2", "bleu"),
    *,
    resamples: int = RESAMPLES,
) -> tuple[dict[str, Score], dict[str, str], Array]:
    """Compute the corpus scores `names`, from 0 to 100.

    Returns:
        The scores; sacrebleu's signature of each; and chrF2 of each single item, [n], from 0 to 100.

    Raises:
        ValueError: if the lengths differ.
    """
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    check_lengths(len(gold), len(predicted))
    chrf = CHRF()
    metrics: dict[str, Any] = {"chrf2": chrf, "bleu": BLEU(force=True)}  # force: no warning of separate full stops
    scores, signatures = {}, {}
    for name in names:
        metric = metrics[name]
        statistics = metric._extract_corpus_statistics(predicted, [gold]) if gold else []
        signatures[name] = str(metric.get_signature()) if gold else ""
        table = np.array(statistics, dtype=np.float64).reshape(len(gold), -1 if gold else 1)
        short = name == "bleu" and len(gold) > 0 and not table[:, -1].any()
        note = "BLEU is 0: no text that was written has four words, which it compares." if short else None
        scores[name] = bootstrapped(additive(table, _corpus_score(metric)), resamples, "There are no items.", note)
    alone = [chrf.sentence_score(b, [a]).score for a, b in zip(gold, predicted, strict=True)]
    return scores, signatures, np.array(alone)


def _corpus_score(metric: Any) -> Callable[[Array], Array]:
    def of_sums(sums: Array) -> Array:
        return np.array([metric._compute_score_from_stats([round(x) for x in row]).score for row in sums.tolist()])

    return of_sums


def _normalise(text: str) -> str:
    """Normalise a text: lower case, without ASCII punctuation and English articles, words separated by one space."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split())


def exact_match(gold: Sequence[str], predicted: str) -> bool:
    """Return whether a normalised answer equals a gold answer. Without gold answers it must be empty."""
    return _normalise(predicted) in {_normalise(answer) for answer in _right_ones(gold)}


def token_f1(gold: Sequence[str], predicted: str) -> float:
    """Compute the word-overlap F1 of an answer and the most similar gold answer.

    Without gold answers, or if all are empty after normalisation: 1 if the answer is empty, too, else 0.
    """
    return max(_word_f1(_normalise(answer).split(), _normalise(predicted).split()) for answer in _right_ones(gold))


def _right_ones(gold: Sequence[str]) -> Sequence[str]:
    """Return the gold answers that are not empty after normalisation, or [""] if there are none."""
    return [answer for answer in gold if _normalise(answer)] or [""]


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
    refused = np.array([not _normalise(answer) for answer in predicted], dtype=bool)
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
