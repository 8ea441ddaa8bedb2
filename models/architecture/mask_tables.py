"""Attention masks as counts per block of tokens, so that a context of any length can be drawn. No torch import.

The rules are those of models.architecture.masks, for a single text, and exact for any length.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from terrarium.models.settings.model_config import ModelConfig

Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class MaskedText:
    """The properties of a text that determine its mask: padding at its end, and a second document packed into it."""

    length: int
    n_padding: int = 0
    second_start: int = 0
    """The index at which the second document begins; 0 = only one. Padding after it counts as part of it."""

    @property
    def n_real(self) -> int:
        """The number of tokens that are not padding (which is at the end)."""
        return self.length - self.n_padding

    def documents(self) -> list[tuple[int, int]]:
        """Return (start, stop) of each document."""
        cuts = [0, self.second_start, self.length] if self.second_start else [0, self.length]
        return list(itertools.pairwise(cuts))


def block_edges(length: int, n_blocks: int) -> Ints:
    """Divide `length` tokens into nearly equal blocks: returns their starts and the end, (n + 1)."""
    return np.arange(min(n_blocks, length) + 1) * length // min(n_blocks, length)


def seen_pairs(config: ModelConfig, text: MaskedText, edges: Ints) -> Ints:
    """Count the visible (query, key) pairs with the query in block i and the key in block j: edges (n + 1) -> (n, n).

    `config` describes a single stack: `config.encoder()` for the encoder of an encoder-decoder.
    """
    reach = min(config.sliding_window or text.length, text.length) - 1  # how far back a query can attend
    ahead = 0 if config.is_causal else reach
    pairs = np.zeros((len(edges) - 1, len(edges) - 1), np.int64)
    for start, stop in text.documents():
        queries = edges.clip(start, stop)
        keys = edges.clip(start, min(stop, max(text.n_real, start)))
        pairs += _pairs_up_to(queries, keys, ahead) - _pairs_up_to(queries, keys, -reach - 1)
    # Padding attends to itself, so that its softmax is finite.
    np.fill_diagonal(pairs, pairs.diagonal() + np.diff(edges.clip(text.n_real, text.length)))
    return pairs


def seen_from(config: ModelConfig, text: MaskedText, query: int) -> tuple[int, int]:
    """Return (start, stop) of the real tokens that token `query` attends to in self-attention.

    A padding token also attends to itself.
    """
    start, stop = next((a, b) for a, b in text.documents() if a <= query < b)
    reach = (config.sliding_window or text.length) - 1
    first = max(start, query - reach)
    last = query if config.is_causal else query + reach
    return first, max(first, min(stop, text.n_real, last + 1))


def seen_across(source: MaskedText) -> tuple[int, int]:
    """Return (start, stop) of the source tokens that cross-attention attends to, the same for every target token."""
    return 0, source.n_real or source.length  # a source that is all padding is attended to whole


def _pairs_up_to(queries: Ints, keys: Ints, furthest: int) -> Ints:
    """Count the pairs with the key at most `furthest` tokens after the query: edges of n and m blocks -> (n, m)."""
    # For one query i, that is min(max(i + furthest - first key + 1, 0), n keys), summed over the block's queries.
    offsets = furthest + 1 - keys[None, :-1]
    n_keys = np.diff(keys)[None, :]
    upper = _clamped_sum(queries[1:, None] - 1 + offsets, n_keys)
    lower = _clamped_sum(queries[:-1, None] - 1 + offsets, n_keys)
    return upper - lower


def _clamped_sum(top: Ints, limit: Ints) -> Ints:
    """Compute the sum of min(max(t, 0), limit) over all integers t up to `top`."""
    within = np.clip(top, 0, limit)
    total: Ints = within * (within + 1) // 2 + np.maximum(top - limit, 0) * limit
    return total
