"""Scores of how much an attention head behaves like known kinds of heads: previous-token, first-token, induction etc.

For one text, by head: fractions of its attention from 0 to 1, averaged over the rows where they are defined. No torch
import.

Sources: positional, first-token and broad heads: Clark et al. 2019, "What Does BERT Look At?", sections 3 and 4; Voita
et al. 2019, "Analyzing Multi-Head Self-Attention"; the first token as a sink: Xiao et al. 2023, "Efficient Streaming
Language Models with Attention Sinks"; induction: Olsson et al. 2022, "In-context Learning and Induction Heads" (prefix
matching).

Letters in shape comments: H heads, T tokens (queries), R rows (some of the queries), S tokens in the context (keys).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Seen = NDArray[np.bool_]
Scores = Mapping[str, Floats]
"""(H) by pattern; NaN where it is undefined."""
RowScores = Mapping[str, Floats]
"""(H, R) by pattern: the same for each row."""

PATTERNS = {
    "previous": "Previous token",
    "first": "First token",
    "self": "Itself",
    "next": "Next token",
    "induction": "Induction",
    "local": "Nearby",
    "diffuse": "Spread out",
}
"""Pattern → its name on screen."""

EXPLAINED = {
    "previous": "share of its attention on the previous token",
    "first": "share of its attention on the first token",
    "self": "share of its attention on the token itself",
    "next": "share of its attention on the next token",
    "induction": "on repeated random tokens: share on the token after the previous occurrence",
    "local": "share of its attention within 3 tokens",
    "diffuse": "entropy of its attention, as a share of the maximum",
}

NEAR = 3
"""Number of tokens to each side that count as nearby."""

_NAMED_FROM = 0.5
_DIFFUSE_FROM = 0.8


def score_rows(weights: Floats, seen: Seen, first: int, *, is_self: bool, is_causal: bool) -> RowScores:
    """Score some rows of heads (H, R, S) on the text itself; `first` is the index of the first row.

    Each row sums to 1 over the keys that the mask `seen` (R, S) allows. NaN where a pattern is undefined: in the first
    row of a text, which has little else to attend to; in the last row for "next"; for "local" in rows with 7 keys or
    fewer; for "diffuse" in rows with one key. In cross-attention (not `is_self`) only "first" and "diffuse" are
    defined. "induction" is measured on separate texts (see `prefix_matching`).
    """
    rows, n_keys = first + np.arange(weights.shape[1]), weights.shape[2]
    nothing = np.full(weights.shape[:2], np.nan, np.float32)
    scores = dict.fromkeys(PATTERNS, nothing)
    scores["first"] = weights[:, :, 0] if not is_self else np.where(rows > 0, weights[:, :, 0], np.nan)
    scores["diffuse"] = row_entropy(weights, seen)
    if not is_self:
        return scores

    def at(offset: int) -> Floats:
        """Return (H, R): the weight at this offset from the diagonal; 0 outside the text."""
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
    """Average the scores of a text's rows, given in chunks: (H) by pattern, over rows that are not NaN."""
    means = {}
    for pattern in PATTERNS:
        rows = np.concatenate([piece[pattern] for piece in of_rows], axis=1)
        is_defined = ~np.isnan(rows[0])
        means[pattern] = _mean(rows[:, is_defined])
    return means


def prefix_matching(weights: Floats, length: int) -> Floats:
    """Compute the prefix matching score (Olsson et al. 2022): (H, T, T) over a token and `length` random ones, twice ->
    (H).

    It is the mean attention from each token of the repetition to the token after its first occurrence. The last token
    is left out, since its first occurrence is followed by the repetition itself.
    """
    assert weights.shape[1] == 1 + 2 * length
    rows = 1 + length + np.arange(length - 1)
    return _mean(weights[:, rows, rows - length + 1])


def row_entropy(weights: Floats, seen: Seen) -> Floats:
    """Compute each row's entropy divided by its maximum, the logarithm of its number of keys: (H, R, S) -> (H, R).

    1: uniform attention; 0: all attention on one token; NaN for rows with a single key, and for rows with negative
    weights, which a custom block may return.
    """
    n_seen = seen.sum(axis=1)
    entropy = np.empty(weights.shape[:2], np.float32)
    for head, of_head in enumerate(weights):  # one at a time: the logarithms of all would take as much memory again
        logs = np.log(np.maximum(of_head, np.finfo(np.float32).tiny))
        entropy[head] = -np.einsum("rs,rs->r", of_head, logs)
    most = np.log(n_seen, where=n_seen > 1, out=np.full(len(n_seen), np.nan))
    shares = np.where((weights < 0).any(axis=2), np.float32(np.nan), entropy / most)
    return shares.astype(np.float32)


def _mean(shares: Floats) -> Floats:
    """Average (H, n) -> (H); NaN for n = 0."""
    if not shares.shape[1]:
        return np.full(len(shares), np.nan, np.float32)
    mean: Floats = shares.mean(axis=1, dtype=np.float64).astype(np.float32)
    return mean


def leading_pattern(scores: Mapping[str, float]) -> str:
    """Return the pattern that a head is named after, '' for a mixed head.

    "induction" if its score is at least a half; else the pattern that gets at least half of its attention; else
    "diffuse" from an entropy of 80 % of the maximum; else "local" if at least half of its attention is nearby.
    """
    if scores["induction"] >= _NAMED_FROM:
        return "induction"
    shown = {name: scores[name] for name in ("previous", "first", "self", "next") if scores[name] >= _NAMED_FROM}
    if shown:
        return max(shown, key=lambda name: shown[name])
    if scores["diffuse"] >= _DIFFUSE_FROM:
        return "diffuse"
    return "local" if scores["local"] >= _NAMED_FROM else ""


def order_by(pattern: str, of_sites: Sequence[Scores]) -> list[tuple[int, int]]:
    """Return (site, head) of all heads, from the highest score for a pattern to the lowest; undefined scores last."""
    scores = {(site, head): float(s) for site, of in enumerate(of_sites) for head, s in enumerate(of[pattern])}
    return sorted(scores, key=lambda at: (math.isnan(scores[at]), -scores[at]))
