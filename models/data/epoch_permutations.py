"""The order in which a split is read: a new shuffle in every epoch, reproducible from the seed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


class EpochOrder(Protocol):
    """An order of 0…n-1 for each epoch (any integer), which depends only on the seed, the epoch and n."""

    def take(self, epoch: int, n: int, positions: Tensor) -> Tensor:
        """Return the items (long) at these positions of the order."""


class EpochPermutations:
    """Random permutations with a small cache of recent ones (8 bytes per item)."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._cache: dict[tuple[int, int], Tensor] = {}

    def permutation(self, epoch: int, n: int) -> Tensor:
        """Return a permutation of 0…n-1 (long)."""
        if (epoch, n) not in self._cache:
            if len(self._cache) > 4:
                self._cache.clear()
            generator = torch.Generator().manual_seed(_epoch_seed(self._seed, epoch))
            self._cache[epoch, n] = torch.randperm(n, generator=generator)
        return self._cache[epoch, n]

    def take(self, epoch: int, n: int, positions: Tensor) -> Tensor:
        """Implement EpochOrder.take."""
        return self.permutation(epoch, n)[positions]


class FeistelPermutations:
    """Pseudorandom permutations without tables: each item is computed from its position.

    A Feistel network permutes the numbers of 2h bits, and a result outside 0…n-1 is permuted again until it is inside
    ("cycle walking", fewer than 4 times on average): Black and Rogaway, "Ciphers with Arbitrary Finite Domains" (2002).
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def take(self, epoch: int, n: int, positions: Tensor) -> Tensor:
        """Implement EpochOrder.take."""
        half = np.uint64(max(1, ((n - 1).bit_length() + 1) // 2))
        keys = _mix(np.arange(1, _ROUNDS + 1, dtype=np.uint64) * _GOLDEN + np.uint64(_epoch_seed(self._seed, epoch)))
        items = _permute(positions.numpy().astype(np.uint64), half, keys)
        while len(outside := np.flatnonzero(items >= n)):
            items[outside] = _permute(items[outside], half, keys)
        return torch.from_numpy(items.astype(np.int64))


POOL_BATCHES = 16
"""Items are sorted by length within pools of this many batches: little padding, yet steps stay mixed."""


class BatchOrder:
    """The items of each batch: `size` of similar length, reshuffled in every epoch of training.

    n: the number of items. lengths: items (long) -> their lengths. order: shuffles the batches, and also the items
    unless shuffle(epoch, positions) returns the items at these positions of an epoch. pool_batches: how many batches
    are sorted together (None: all). Without `is_shuffled`, all items come in one order; otherwise an incomplete last
    batch of an epoch is dropped.
    """

    def __init__(
        self,
        n: int,
        size: int,
        lengths: Callable[[Tensor], Tensor],
        order: EpochOrder,
        *,
        is_shuffled: bool,
        pool_batches: int | None = POOL_BATCHES,
        shuffle: Callable[[int, Tensor], Tensor] | None = None,
    ) -> None:
        self.n_batches = max(1, n // size) if is_shuffled else -(-n // size)
        self._n, self._size, self._lengths, self._order = n, size, lengths, order
        self._is_shuffled = is_shuffled
        self._pool_batches = self.n_batches if pool_batches is None else pool_batches
        self._shuffle = shuffle or (lambda epoch, positions: order.take(epoch, n, positions))

    def items(self, number: int) -> Tensor:
        """Return the items (long) of batch `number`, counted through all epochs."""
        if not self._is_shuffled:
            return self._members(0, number)
        epoch, index = divmod(number, self.n_batches)
        return self._members(epoch, int(self._order.take(-1 - epoch, self.n_batches, torch.tensor([index]))))

    def _members(self, epoch: int, index: int) -> Tensor:
        """Return the items of batch `index` of an epoch, before its batches are shuffled."""
        pool, position = divmod(index, self._pool_batches)
        size = self._pool_batches * self._size
        members = torch.arange(pool * size, min((pool + 1) * size, self._n, self.n_batches * self._size))
        if self._is_shuffled:
            members = self._shuffle(epoch, members)
        by_length = members[torch.argsort(self._lengths(members), stable=True)]
        return by_length[position * self._size : (position + 1) * self._size]


_ROUNDS = 6
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)

Numbers = npt.NDArray[np.uint64]


def _permute(numbers: Numbers, half: np.uint64, keys: Numbers) -> Numbers:
    """Apply one pass of the Feistel network to numbers of 2 · `half` bits."""
    mask = (np.uint64(1) << half) - np.uint64(1)
    left, right = numbers >> half, numbers & mask
    for key in keys:
        left, right = right, left ^ (_mix(right ^ key) & mask)
    return (left << half) | right


def _mix(x: Numbers) -> Numbers:
    """Apply the finaliser of SplitMix64 (Steele, Lea and Flood, 2014): each bit depends on all bits."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Numbers = x ^ (x >> np.uint64(31))
    return mixed


def _epoch_seed(seed: int, epoch: int) -> int:
    return seed * 1_000_003 + (epoch % 2**31)
