"""Attention as maps of (queries, keys), pooled where they are large. No torch import.

Letters in shape comments: H heads, T tokens (queries), S tokens seen (keys), R and C blocks of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.architecture.mask_tables import Ints, block_edges
from models.inspect.head_patterns import Floats, Scores, Seen

MEAN, MAX = -2, -1
"""After all heads of a map: the mean and the largest over them, of each pair of tokens."""


PART = 64
"""Rows and columns of a part of a pooled map that is read again, exactly."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SiteMap:
    """One layer's attention.

    weights: (H + 2, R, C), NaN where the mask lets nothing through: the heads, then MEAN and MAX over them.
    small: the same in fewer blocks, for a picture among many.
    scores: of each head, by pattern (see `models.inspect.head_patterns`).
    """

    site: str
    weights: Floats
    small: Floats
    scores: Scores

    @property
    def n_head(self) -> int:
        """Heads, without what is made of all of them."""
        return len(self.weights) - 2


@dataclass(frozen=True, kw_only=True, eq=False)
class StackMaps:
    """All layers of one kind of attention.

    kind: "self" (a decoder's or an encoder's), or of an encoder-decoder "encoder", "decoder" or "cross".
    rows, columns: where the blocks of tokens begin that the maps are pooled to, and the end: (R + 1) and (C + 1).
    is_causal: whether tokens see only what comes before them, and themselves.
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


def around(edges: Ints, block: int, most: int = PART) -> range:
    """The tokens around the middle of a block (`edges`: where blocks begin, and the end), as far as there are any."""
    middle, n = int(edges[block] + edges[block + 1]) // 2, int(edges[-1])
    start = min(max(middle - most // 2, 0), max(n - most, 0))
    return range(start, min(start + most, n))


def with_aggregates(weights: Floats) -> Floats:
    """(H, T, S) -> (H + 2, T, S): MEAN and MAX over the heads behind them."""
    return np.concatenate([weights, weights.mean(axis=0, keepdims=True), weights.max(axis=0, keepdims=True)])


def pool(weights: Floats, seen: Seen, rows: Ints, columns: Ints) -> Floats:
    """(H, T, S) -> (H, R, C): the largest weight of each block, NaN where `seen` (T, S) lets nothing through.

    rows, columns: where blocks begin, and the end.
    """
    pooled: Floats = _by_block(np.maximum, _by_block(np.maximum, weights, rows, 1), columns, 2)
    any_seen = _by_block(np.logical_or, _by_block(np.logical_or, seen, rows, 0), columns, 1)
    return np.where(any_seen, pooled, np.float32(np.nan))


def pooled_to(maps: Floats, side: int) -> Floats:
    """Maps (H, R, C) with at most `side` rows and columns: the largest of each block, NaN where all of it is."""
    rows, columns = (block_edges(n, side) for n in maps.shape[1:])
    pooled: Floats = _by_block(np.fmax, _by_block(np.fmax, maps, rows, 1), columns, 2)
    return pooled


def _by_block(reduce: np.ufunc, values: NDArray, edges: Ints, axis: int) -> NDArray:  # type: ignore[type-arg]
    if len(edges) - 1 == values.shape[axis]:
        return values
    return reduce.reduceat(values, edges[:-1], axis=axis)
