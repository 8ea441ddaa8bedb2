"""Scores of texts generated from others: translations, summaries, answers. No torch import."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from terrarium.models.metrics.answers import token_f1
from terrarium.models.metrics.intervals import RESAMPLES, additive, divide, mean
from terrarium.models.metrics.report import Report, Score, bootstrapped, check_lengths, proportion
from terrarium.models.metrics.rouge import ROUGES, ngrams, rouge
from terrarium.models.metrics.translation import translation_scores

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
