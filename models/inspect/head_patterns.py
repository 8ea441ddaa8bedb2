"""What an attention head does, measured: how much of its attention goes where a known kind of head would send it.

Of one text, by head: shares of attention from 0 to 1, as means over the rows that they can be told by. No torch import.

Sources: positional, first-token and broad heads: Clark et al. 2019, "What Does BERT Look At?", sections 3 and 4; Voita
et al. 2019, "Analyzing Multi-Head Self-Attention"; the first token as a sink: Xiao et al. 2023, "Efficient Streaming
Language Models with Attention Sinks"; induction: Olsson et al. 2022, "In-context Learning and Induction Heads"
(prefix matching).

Letters in shape comments: H heads, T tokens (queries), R some of them, S tokens seen (keys).
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
RowScores = Mapping[str, Floats]
"""(H, R) by pattern: the same of each row."""

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


def score_rows(weights: Floats, seen: Seen, first: int, *, is_self: bool, is_causal: bool) -> RowScores:
    """Scores of some rows of heads (H, R, S), on the text itself; `first` is the number of the first row.

    The rows are shares of what `seen` (R, S) lets through. NaN for rows that a pattern cannot be told by: the text's
    first, since there is little else for it to look at; the last, where none comes after it; for "local" those that
    see 7 tokens or fewer; for "diffuse" those that see one. Across two texts (not `is_self`) only "first" and "diffuse"
    mean something. "induction" is measured on texts of its own (see `prefix_matching`).
    """
    rows, n_keys = first + np.arange(weights.shape[1]), weights.shape[2]
    nothing = np.full(weights.shape[:2], np.nan, np.float32)
    scores = dict.fromkeys(PATTERNS, nothing)
    scores["first"] = weights[:, :, 0] if not is_self else np.where(rows > 0, weights[:, :, 0], np.nan)
    scores["diffuse"] = row_entropy(weights, seen)
    if not is_self:
        return scores

    def at(offset: int) -> Floats:
        """(H, R): the weight of the token so many places on; 0 where there is none."""
        columns = rows + offset
        inside = (columns >= 0) & (columns < n_keys)
        found: Floats = weights[:, np.arange(len(rows)), columns.clip(0, n_keys - 1)]
        return np.where(inside, found, np.float32(0))

    patterns = {"previous": -1, "self": 0} if is_causal else {"previous": -1, "self": 0, "next": 1}
    for name, offset in patterns.items():
        scores[name] = np.where((rows > 0) & (rows + offset < n_keys), at(offset), np.float32(np.nan))
    near = np.sum([at(offset) for offset in range(-NEAR, NEAR + 1)], axis=0)
    scores["local"] = np.where(seen.sum(axis=1) > 2 * NEAR + 1, near, np.float32(np.nan))
    return scores


def mean_scores(of_rows: Sequence[RowScores]) -> dict[str, Floats]:
    """A text's scores from those of all its rows, in pieces: (H) by pattern, the mean over rows that tell; else NaN."""
    means = {}
    for pattern in PATTERNS:
        rows = np.concatenate([piece[pattern] for piece in of_rows], axis=1)
        told = ~np.isnan(rows[0])
        means[pattern] = _mean(rows[:, told])
    return means


def prefix_matching(weights: Floats, length: int) -> Floats:
    """Induction, after Olsson et al. 2022: (H, T, T) over one token, then `length` random ones read twice -> (H).

    The mean attention from each token of the second reading to the one that came after it in the first. The last one
    is left out: after it came the second reading itself.
    """
    assert weights.shape[1] == 1 + 2 * length
    rows = 1 + length + np.arange(length - 1)
    return _mean(weights[:, rows, rows - length + 1])


def row_entropy(weights: Floats, seen: Seen) -> Floats:
    """(H, R, S) -> (H, R): each row's entropy over the logarithm of how many tokens it sees (R, S), which is the most.

    1: all that is seen gets the same; 0: one token gets it all; NaN for rows that see one token alone.
    """
    n_seen = seen.sum(axis=1)
    entropy = np.empty(weights.shape[:2], np.float32)
    for head, of_head in enumerate(weights):  # one at a time, since the logarithms of all would take as much again
        logs = np.log(np.maximum(of_head, np.finfo(np.float32).tiny))
        entropy[head] = -np.einsum("rs,rs->r", of_head, logs)
    most = np.log(n_seen, where=n_seen > 1, out=np.full(len(n_seen), np.nan))
    shares: Floats = (entropy / most).astype(np.float32)
    return shares


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
