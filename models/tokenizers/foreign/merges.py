"""BPE merges derived from a vocabulary that only ranks its tokens, as in tiktoken and SentencePiece."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T", str, bytes)

MAX_TOKEN_LENGTH = 4096
"""Longer tokens mean a damaged file; published ones have at most a few hundred characters."""


def derive_merges(ranks: Mapping[T, float]) -> list[tuple[T, T]]:
    """Return the merges (left, right), lowest rank first, that give the same ids as merging by rank, leftmost first.

    A token is merged the same way in any context, so only the last pair of its own merging can produce it. A token that
    does not merge completely on its own gets no merge. Among equal ranks, the longest token comes first; see
    `find_undecided`.
    """
    pairs = []
    for token, _ in sorted(ranks.items(), key=lambda item: (item[1], -len(item[0]))):
        if len(token) > 1:
            parts = _last_parts(token, ranks)
            if len(parts) == 2:
                pairs.append((parts[0], parts[1]))
    return pairs


def find_undecided(ranks: Mapping[str, float], merges: list[tuple[str, str]]) -> str | None:
    """Return a token for which `derive_merges` differs from merging the leftmost of pairs of equal rank, or None.

    The two agree for runs of one character (white space, in Llama and Mistral) that all have the same rank and are in
    no other merge. Such a run grows by single characters from left to right, and then joins the one before it if it
    can: whenever several of these merges are possible, the leftmost one makes the longest token.
    """
    made = [left + right for left, right in merges]
    n_of = Counter(ranks[token] for token in made)
    tied = {token[0]: ranks[token] for token in made if n_of[ranks[token]] > 1}
    for (left, right), token in zip(merges, made, strict=True):
        is_run = len(set(token)) == 1 and tied.get(token[0]) == ranks[token]
        if is_run:
            continue
        uses_run = any(len(part) > 1 and len(set(part)) == 1 and part[0] in tied for part in (left, right))
        if n_of[ranks[token]] > 1 or uses_run or (len(set(token)) == 1 and token[0] in tied):
            return token
    return None


def _last_parts(token: T, ranks: Mapping[T, float]) -> list[T]:
    """Return the parts of the token before its last merge, or the parts that no further merge joins."""
    parts = [token[i : i + 1] for i in range(len(token))]
    joined = [ranks.get(left + right, math.inf) for left, right in itertools.pairwise(parts)]
    while len(joined) > 1 and (lowest := min(joined)) < math.inf:
        i = joined.index(lowest)
        parts[i : i + 2] = [parts[i] + parts[i + 1]]
        del joined[i]
        if i < len(joined):
            joined[i] = ranks.get(parts[i] + parts[i + 1], math.inf)
        if i:
            joined[i - 1] = ranks.get(parts[i - 1] + parts[i], math.inf)
    return parts
