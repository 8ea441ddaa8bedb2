"""Best-of-n: replies of a model scored by a reward model, and the expected score for every n. No torch import.

`best_replies` draws the replies. Letters in shape comments: P prompts, N replies to each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from terrarium.models.events import Event

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class ScoredReply:
    """A reply that was drawn. ids: with its end token if it `ended`. score: the reward model's raw score."""

    text: str
    score: float
    ids: tuple[int, ...]
    ended: bool


@dataclass(frozen=True, kw_only=True)
class RepliesRanked(Event):
    """The drawn replies, best first, and the seconds that drawing and scoring all of them took."""

    replies: tuple[ScoredReply, ...]
    draw_s: float
    score_s: float


@dataclass(frozen=True, kw_only=True)
class BestOfPoint:
    """The average scores of the best of n replies. kl: an upper bound in nats (arXiv:2401.01879). gold_error: the
    standard error of `gold` over prompts, 0 for one prompt.
    """

    n: int
    proxy: float
    gold: float
    kl: float
    gold_error: float = 0.0

    def to_dict(self) -> dict[str, float]:
        """Return a JSON-able dict."""
        return {"n": self.n, "proxy": self.proxy, "gold": self.gold, "gold_error": self.gold_error, "kl": self.kl}


def best_of_curve(
    proxy: Sequence[Sequence[float]], gold: Sequence[Sequence[float]], sizes: Sequence[int] = ()
) -> list[BestOfPoint]:
    """For n = 1, 2, 4, … average the scores of the reply with the highest proxy over all choices of n of the N
    replies, and over prompts.

    This is unbiased, like the estimator of pass@k. Replies with the same proxy are equally likely to be chosen.

    Args:
        proxy, gold: (P, N), of each reply to each prompt.
        sizes: other n than those, each from 1 to N.
    """
    proxies, golds = np.asarray(proxy, np.float64), np.asarray(gold, np.float64)
    assert proxies.shape == golds.shape
    assert proxies.ndim == 2
    ranked = [_ranked(*rows) for rows in zip(proxies, golds, strict=True)]
    of_proxy, of_gold = (np.stack([pair[i] for pair in ranked]) for i in range(2))  # (P, N)
    n_prompts, total = proxies.shape
    points = []
    for n in sizes or [1 << power for power in range(total.bit_length())]:
        weights = _chosen(n, total)
        proxy_of, gold_of = of_proxy @ weights, of_gold @ weights  # (P)
        error = float(gold_of.std(ddof=1)) / math.sqrt(n_prompts) if n_prompts > 1 else 0.0
        kl = math.log(n) - (n - 1) / n
        points.append(
            BestOfPoint(n=n, proxy=float(proxy_of.mean()), gold=float(gold_of.mean()), kl=kl, gold_error=error)
        )
    return points


def _ranked(proxy: Floats, gold: Floats) -> tuple[Floats, Floats]:
    """Return both (N) in ascending order of proxy; the gold of equal proxies is their mean."""
    values, group = np.unique(proxy, return_inverse=True)
    means = np.bincount(group, weights=gold) / np.bincount(group)
    order = np.sort(group)
    return values[order], means[order]


def _chosen(n: int, total: int) -> Floats:
    """Return the probability that each of `total` replies, worst first, is the best of n: C(i - 1, n - 1) / C(total,
    n).
    """
    below = [math.comb(i, n - 1) / math.comb(total, n) for i in range(total)]
    return np.asarray(below, np.float64)
