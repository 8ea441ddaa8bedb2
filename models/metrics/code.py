"""pass@k: how likely one of k functions that a model wrote passes its tests. No torch import."""

from __future__ import annotations

import math
from collections.abc import Sequence

from models.metrics.intervals import RESAMPLES, mean
from models.metrics.report import Score, bootstrapped, proportion


def pass_at_k(n: int, n_passed: int, k: int) -> float:
    """1 − C(n − c, k) / C(n, k), the unbiased estimate from `n` samples of which `n_passed` pass (Chen 2021).

    Raises:
        ValueError: if there are fewer than `k` samples, or more pass than there are.
    """
    if not 0 <= n_passed <= n or not 1 <= k <= n:
        raise ValueError(f"pass@{k} needs at least {max(k, 1)} samples, of which 0 to all pass; not {n_passed} of {n}.")
    return 1 - math.comb(n - n_passed, k) / math.comb(n, k)


def pass_score(
    passed: Sequence[Sequence[bool]], k: int = 1, *, resamples: int = RESAMPLES, note: str | None = None
) -> Score:
    """pass@k over problems, each with whether each of its samples passed; with one sample each, Wilson's interval.

    Raises:
        ValueError: if a problem has fewer than `k` samples.
    """
    if k == 1 and all(len(samples) == 1 for samples in passed):
        return proportion([samples[0] for samples in passed], note)
    return bootstrapped(
        mean([pass_at_k(len(samples), sum(samples), k) for samples in passed]),
        resamples,
        "There are no problems.",
        note,
    )
