"""What an attention head does, measured: how much of its attention goes where a known kind of head would send it.

Of one text, by head: shares of attention from 0 to 1, as means over the rows that they can be told by. No torch import.

Sources: positional, first-token and broad heads: Clark et al. 2019, "What Does BERT Look At?", sections 3 and 4; Voita
et al. 2019, "Analyzing Multi-Head Self-Attention"; the first token as a sink: Xiao et al. 2023, "Efficient Streaming
Language Models with Attention Sinks"; induction: Olsson et al. 2022, "In-context Learning and Induction Heads"
(prefix matching).

Letters in shape comments: H heads, T tokens (queries), S tokens seen (keys).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Seen = NDArray[np.bool_]
Scores = Mapping[str, Floats]
"""(H) by pattern; NaN where it cannot be told."""

PATTERNS = {
    "previous": "Previous token",
    "first": "First token",
    "self": "Itself",
    "next": "Next token",
    "induction": "Induction",
    "local": "Nearby",
    "diffuse": "Spread out",
}
"""What each pattern is called on screen."""

EXPLAINED = {
    "previous": "share of its attention that goes to the token before",
    "first": "share of its attention that goes to the first token",
    "self": "share of its attention that a token pays to itself",
    "next": "share of its attention that goes to the token after",
    "induction": "on random tokens read twice: share that goes to what came after the same token the first time",
    "local": "share of its attention that stays within 3 tokens",
    "diffuse": "entropy of its attention, as a share of the most there could be",
}

NEAR = 3
"""Tokens to each side that count as nearby."""

_NAMED_FROM = 0.5
_DIFFUSE_FROM = 0.8


def score_patterns(weights: Floats, seen: Seen, *, is_self: bool, is_causal: bool) -> dict[str, Floats]:
    """Scores of heads (H, T, S), whose rows are shares of what `seen` (T, S) lets through, on the text itself.

    Across two texts (not `is_self`) only "first" and "diffuse" mean something. The first row is left out, since there
    is little else for it to look at; so are, for "local", rows that see 7 tokens or fewer. "induction" is
    measured on a text of its own (see `prefix_matching`), and stays NaN here.
    """
    nothing = np.full(len(weights), np.nan, np.float32)
    scores = dict.fromkeys(PATTERNS, nothing)
    scores["first"] = _mean(weights[:, 1:, 0]) if is_self else _mean(weights[:, :, 0])
    scores["diffuse"] = normalised_entropy(weights, seen)
    if not is_self:
        return scores
    scores["previous"] = _mean(np.diagonal(weights, -1, 1, 2))
    scores["self"] = _mean(np.diagonal(weights, 0, 1, 2)[:, 1:])
    if not is_causal:
        scores["next"] = _mean(np.diagonal(weights, 1, 1, 2)[:, 1:])
    scores["local"] = _local(weights, seen)
    return scores


def prefix_matching(weights: Floats, length: int) -> Floats:
    """Induction, after Olsson et al. 2022: (H, T, T) over one token, then `length` random ones read twice -> (H).

    The mean attention from each token of the second reading to the one that came after it in the first. The last one
    is left out: after it came the second reading itself.
    """
    assert weights.shape[1] == 1 + 2 * length
    rows = 1 + length + np.arange(length - 1)
    return _mean(weights[:, rows, rows - length + 1])


def normalised_entropy(weights: Floats, seen: Seen) -> Floats:
    """(H, T, S) -> (H): the mean of rows' entropies, each over the logarithm of how many tokens the row sees.

    1: all that is seen gets the same; 0: one token gets it all. Rows that see one token alone do not count.
    """
    n_seen = seen.sum(axis=1)
    rows = n_seen > 1
    entropy = np.empty(weights.shape[:2], np.float32)
    for head, of_head in enumerate(weights):  # one at a time, since the logarithms of all would take as much again
        logs = np.log(np.maximum(of_head, np.finfo(np.float32).tiny))
        entropy[head] = -np.einsum("ts,ts->t", of_head, logs)
    return _mean(entropy[:, rows] / np.log(n_seen[rows]))


def _local(weights: Floats, seen: Seen) -> Floats:
    length = weights.shape[1]
    rows = np.flatnonzero(seen.sum(axis=1) > 2 * NEAR + 1)
    near = np.zeros((len(weights), length), np.float32)
    for offset in range(-NEAR, NEAR + 1):
        diagonal = np.diagonal(weights, offset, 1, 2)
        first = max(0, -offset)
        near[:, first : first + diagonal.shape[1]] += diagonal
    return _mean(near[:, rows])


def _mean(shares: Floats) -> Floats:
    """(H, n) -> (H); NaN for n = 0."""
    if not shares.shape[1]:
        return np.full(len(shares), np.nan, np.float32)
    mean: Floats = shares.mean(axis=1, dtype=np.float64).astype(np.float32)
    return mean


def leading_pattern(scores: Mapping[str, float]) -> str:
    """The pattern that a head is called by, '' for a mixed one.

    Induction, where that is at least a half; else what takes at least half of its attention; else "diffuse" from an
    entropy of 80 % of the most.
    """
    if scores["induction"] >= _NAMED_FROM:
        return "induction"
    pointed = {name: scores[name] for name in ("previous", "first", "self", "next") if scores[name] >= _NAMED_FROM}
    if pointed:
        return max(pointed, key=lambda name: pointed[name])
    if scores["diffuse"] >= _DIFFUSE_FROM:
        return "diffuse"
    return "local" if scores["local"] >= _NAMED_FROM else ""


def order_by(pattern: str, of_sites: Sequence[Scores]) -> list[tuple[int, int]]:
    """(site, head) of all heads, those that show a pattern most strongly first; those it cannot be told of last."""
    scores = {(site, head): float(s) for site, of in enumerate(of_sites) for head, s in enumerate(of[pattern])}
    return sorted(scores, key=lambda at: (math.isnan(scores[at]), -scores[at]))
