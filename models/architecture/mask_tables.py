"""Which tokens see which, counted rather than listed, so that any context can be drawn. No torch import.

The same rules as models.architecture.masks, for one text: how it is seen from blocks of tokens, exactly, however
long it is.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.settings.model_config import ModelConfig

Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class MaskedText:
    """A text as its mask sees it: its last tokens may be padding, and it may be two documents packed into one row."""

    length: int
    n_padding: int = 0
    second_start: int = 0
    """Where the second document begins; 0 = there is only one. Padding behind it counts as part of it."""

    @property
    def n_real(self) -> int:
        """Tokens that are not padding; those that are stand at the end."""
        return self.length - self.n_padding

    def documents(self) -> list[tuple[int, int]]:
        """(first token, the one after the last) of each."""
        cuts = [0, self.second_start, self.length] if self.second_start else [0, self.length]
        return list(itertools.pairwise(cuts))


def block_edges(length: int, n_blocks: int) -> Ints:
    """(n + 1): where the blocks begin that `length` tokens are cut into, as even as can be, and the end."""
    return np.arange(min(n_blocks, length) + 1) * length // min(n_blocks, length)


def seen_pairs(config: ModelConfig, text: MaskedText, edges: Ints) -> Ints:
    """Edges (n + 1) of blocks -> (n, n): how many pairs of a query in block i and a key in block j self-attention sees.

    `config` is that of one stack: for an encoder-decoder's encoder, `config.encoder()`.
    """
    reach = min(config.sliding_window or text.length, text.length) - 1  # how far a query looks back
    ahead = 0 if config.is_causal else reach
    pairs = np.zeros((len(edges) - 1, len(edges) - 1), np.int64)
    for start, stop in text.documents():
        queries = edges.clip(start, stop)
        keys = edges.clip(start, min(stop, max(text.n_real, start)))
        pairs += _pairs_up_to(queries, keys, ahead) - _pairs_up_to(queries, keys, -reach - 1)
    # Padding sees itself, so that its softmax has something to look at.
    np.fill_diagonal(pairs, pairs.diagonal() + np.diff(edges.clip(text.n_real, text.length)))
    return pairs


def seen_from(config: ModelConfig, text: MaskedText, query: int) -> tuple[int, int]:
    """(first, one after the last) of the real tokens that self-attention sees from token `query`.

    A token that is padding sees itself besides.
    """
    start, stop = next((a, b) for a, b in text.documents() if a <= query < b)
    reach = (config.sliding_window or text.length) - 1
    first = max(start, query - reach)
    last = query if config.is_causal else query + reach
    return first, max(first, min(stop, text.n_real, last + 1))


def seen_across(source: MaskedText) -> tuple[int, int]:
    """(first, one after the last) of the source's tokens that a decoder's cross-attention sees, from any token."""
    return 0, source.n_real or source.length  # a source without a real token is seen whole


def _pairs_up_to(queries: Ints, keys: Ints, furthest: int) -> Ints:
    """Edges of n and m blocks -> (n, m): pairs in which the key stands at most `furthest` after the query."""
    # Of one query i, min(max(i + furthest - first key + 1, 0), keys) are: a sum of such over the block's queries.
    offsets = furthest + 1 - keys[None, :-1]
    n_keys = np.diff(keys)[None, :]
    upper = _clamped_sum(queries[1:, None] - 1 + offsets, n_keys)
    lower = _clamped_sum(queries[:-1, None] - 1 + offsets, n_keys)
    return upper - lower


def _clamped_sum(top: Ints, most: Ints) -> Ints:
    """The sum of min(max(t, 0), most) over all whole t up to `top`."""
    within = np.clip(top, 0, most)
    total: Ints = within * (within + 1) // 2 + np.maximum(top - most, 0) * most
    return total
