"""In which order a split is read: another one in every epoch, and always the same one for a seed."""

from __future__ import annotations

import torch
from torch import Tensor


class EpochOrders:
    """Random orders that depend on nothing but the seed and the epoch; the latest are remembered."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._known: dict[tuple[int, int], Tensor] = {}

    def order(self, epoch: int, n: int) -> Tensor:
        """A permutation of 0…n-1 (long)."""
        if (epoch, n) not in self._known:
            if len(self._known) > 4:
                self._known.clear()
            generator = torch.Generator().manual_seed(self._seed * 1_000_003 + (epoch % 2**31))
            self._known[epoch, n] = torch.randperm(n, generator=generator)
        return self._known[epoch, n]
