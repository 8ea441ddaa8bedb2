"""ROUGE (Lin 2004), as computed by the rouge-score package without a stemmer. No torch import.

ROUGE counts words of ASCII letters and digits, so texts in other scripts score 0.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from terrarium.models.metrics.classification import precision_recall_f1

ROUGES = ("rouge_1", "rouge_2", "rouge_l", "rouge_lsum")
_BETWEEN_WORDS = re.compile(r"[^a-z0-9]+")


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
