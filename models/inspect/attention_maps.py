"""Attention maps of (queries, keys), max-pooled where they are large. No torch import.

Letters in shape comments: H heads, T tokens (queries), S tokens in the context (keys), R and C blocks of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from terrarium.models.architecture.mask_tables import Ints, block_edges
from terrarium.models.inspect.head_patterns import Floats, Scores, Seen

MEAN, MAX = -2, -1
"""Indices after the heads of a map: the mean and the maximum over all heads, for each pair of tokens."""


WINDOW_SIZE = 64
"""Rows and columns of the part of a pooled map that is computed again, unpooled."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SiteMap:
    """One layer's attention.

    weights: (H + 2, R, C), NaN where everything is masked: the heads, then MEAN and MAX over them.
    small: the same, pooled further to a thumbnail.
    scores: of each head, by pattern (see `models.inspect.head_patterns`).
    """

    site: str
    weights: Floats
    small: Floats
    scores: Scores

    @property
    def n_head(self) -> int:
        """Number of heads, without MEAN and MAX."""
        return len(self.weights) - 2


@dataclass(frozen=True, kw_only=True, eq=False)
class StackMaps:
    """All layers of one kind of attention.

    kind: "self" (a decoder's or an encoder's), or of an encoder-decoder "encoder", "decoder" or "cross". rows, columns:
    edges of the blocks of tokens that the maps are pooled to: (R + 1) and (C + 1). is_causal: whether tokens attend
    only to themselves and earlier tokens.
    """

    kind: str
    sites: tuple[SiteMap, ...]
    rows: Ints
    columns: Ints
    is_causal: bool

    @property
    def is_pooled(self) -> bool:
        """Whether a cell stands for more than one pair of tokens."""
        return bool(len(self.rows) <= self.rows[-1] or len(self.columns) <= self.columns[-1])


def window_around(edges: Ints, block: int, size: int = WINDOW_SIZE) -> range:
    """Return up to `size` tokens around the middle of a block (`edges`: the edges of all blocks)."""
    middle, n = int(edges[block] + edges[block + 1]) // 2, int(edges[-1])
    start = min(max(middle - size // 2, 0), max(n - size, 0))
    return range(start, min(start + size, n))


def with_aggregates(weights: Floats) -> Floats:
    """Append MEAN and MAX over the heads: (H, T, S) -> (H + 2, T, S)."""
    return np.concatenate([weights, weights.mean(axis=0, keepdims=True), weights.max(axis=0, keepdims=True)])


def pool(weights: Floats, seen: Seen, rows: Ints, columns: Ints) -> Floats:
    """Max-pool (H, T, S) -> (H, R, C): the largest weight of each block, NaN where `seen` (T, S) masks all of it.

    rows, columns: edges of the blocks.
    """
    pooled: Floats = _by_block(np.maximum, _by_block(np.maximum, weights, rows, 1), columns, 2)
    any_seen = _by_block(np.logical_or, _by_block(np.logical_or, seen, rows, 0), columns, 1)
    return np.where(any_seen, pooled, np.float32(np.nan))


def pooled_to(maps: Floats, side: int) -> Floats:
    """Max-pool maps (H, R, C) to at most `side` rows and columns; NaN where all of a block is NaN."""
    rows, columns = (block_edges(n, side) for n in maps.shape[1:])
    pooled: Floats = _by_block(np.fmax, _by_block(np.fmax, maps, rows, 1), columns, 2)
    return pooled


def _by_block(reduce: np.ufunc, values: NDArray, edges: Ints, axis: int) -> NDArray:  # type: ignore[type-arg]
    if len(edges) - 1 == values.shape[axis]:
        return values
    return reduce.reduceat(values, edges[:-1], axis=axis)
