"""The likeliest of many tokens, from values that are sorted without their ids: that is several times as fast.

Of two that are alike the one with the lower id comes first, so that the order is the same on every machine. No torch.

Letters in shape comments: V vocab_size.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def falling(values: Floats) -> Floats:
    """The values (V,), the largest first."""
    return np.sort(values)[::-1]


def largest(values: Floats, n: int, ordered: Floats | None = None) -> NDArray[np.bool_]:
    """Which of the values (V,) are the n largest, (V,); `ordered`: what `falling` says of them, where that is known."""
    if n >= len(values):
        return np.ones(len(values), bool)
    last = (falling(values) if ordered is None else ordered)[n - 1]
    mask: NDArray[np.bool_] = values > last
    mask[np.flatnonzero(values == last)[: n - int(mask.sum())]] = True
    return mask


def likeliest(values: Floats, n: int) -> NDArray[np.int64]:
    """The ids of the n largest of values (V,), the largest first: (n,), or (V,) where there are no more."""
    ids = np.flatnonzero(largest(values, n))
    return ids[np.argsort(-values[ids], kind="stable")]
