"""The order in which a split is read: a new shuffle for every epoch, and reproducible from the seed."""

from __future__ import annotations

import torch
from torch import Tensor


class EpochPermutations:
    """Random permutations that depend only on the seed and the epoch; the latest are cached."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._cache: dict[tuple[int, int], Tensor] = {}

    def permutation(self, epoch: int, n: int) -> Tensor:
        """A permutation of 0…n-1 (long)."""
        if (epoch, n) not in self._cache:
            if len(self._cache) > 4:
                self._cache.clear()
            generator = torch.Generator().manual_seed(self._seed * 1_000_003 + (epoch % 2**31))
            self._cache[epoch, n] = torch.randperm(n, generator=generator)
        return self._cache[epoch, n]
