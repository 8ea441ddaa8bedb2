"""BLEU and chrF2 by sacrebleu, with its signatures, which name the settings and the version. No torch import.

sacrebleu is imported lazily. Both scores are functions of sums over the items, which sacrebleu computes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from terrarium.models.metrics.intervals import RESAMPLES, Array, additive
from terrarium.models.metrics.report import Score, bootstrapped, check_lengths


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
