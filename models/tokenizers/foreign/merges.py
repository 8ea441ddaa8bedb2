"""The merges behind a vocabulary that only ranks its tokens, as tiktoken's and SentencePiece's do."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T", str, bytes)

LONGEST_TOKEN = 4096
"""Characters of a token that is still believed in: published ones have at most some hundred."""


def derive_merges(ranks: Mapping[T, float]) -> list[tuple[T, T]]:
    """The pairs that join into the tokens, lowest rank first; ids come out as with the ranks themselves.

    Whatever stands around a token, its inside is merged as if it stood alone: so the last pair of the token merged
    alone is the only pair that ever makes it. A token that alone does not come out whole is made by no merge.
    """
    pairs = []
    for token, _ in sorted(ranks.items(), key=lambda item: item[1]):
        if len(token) > 1:
            parts = _last_parts(token, ranks)
            if len(parts) == 2:
                pairs.append((parts[0], parts[1]))
    return pairs


def _last_parts(token: T, ranks: Mapping[T, float]) -> list[T]:
    """The token's parts before the last merge, or those that nothing merges any more."""
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
