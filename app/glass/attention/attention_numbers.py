"""One head's attention as a table of numbers. No widgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from app.glass.attention.head_words import head_words
from models.inspect.attention_maps import StackMaps


def head_numbers(
    stack: StackMaps, site: int, head: int, words: Sequence[str], others: Sequence[str] | None
) -> Mapping[str, Sequence[Any]]:
    """Columns: which head; who looks and at what, by their places from 1 and words; and the weight.

    Of a pooled map the places are those of blocks' first tokens.

    Args:
        words, others: of who looks, and of what is looked at where that is another text.
    """
    of, seen = stack.sites[site], words if others is None else others
    weights = of.weights[head]
    grid = np.meshgrid(stack.rows[:-1], stack.columns[:-1], indexing="ij")
    queries, keys = (places.ravel().tolist() for places in grid)
    return {
        "head": [head_words(of, head)] * weights.size,
        "query": [i + 1 for i in queries],
        "query_token": [words[i] for i in queries],
        "key": [i + 1 for i in keys],
        "key_token": [seen[i] for i in keys],
        "weight": weights.ravel().astype(float).tolist(),
    }
