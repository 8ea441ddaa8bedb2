"""The order in which a split is read: a new shuffle for every epoch, and reproducible from the seed."""

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
        """The items (long) at these positions of the order."""


class EpochPermutations:
    """Random permutations, the latest of which are kept: 8 bytes per item."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._cache: dict[tuple[int, int], Tensor] = {}

    def permutation(self, epoch: int, n: int) -> Tensor:
        """A permutation of 0…n-1 (long)."""
        if (epoch, n) not in self._cache:
            if len(self._cache) > 4:
                self._cache.clear()
            generator = torch.Generator().manual_seed(_epoch_seed(self._seed, epoch))
            self._cache[epoch, n] = torch.randperm(n, generator=generator)
        return self._cache[epoch, n]

    def take(self, epoch: int, n: int, positions: Tensor) -> Tensor:
        """As of EpochOrder."""
        return self.permutation(epoch, n)[positions]


class FeistelPermutations:
    """Pseudorandom permutations of which no table is kept: each item is computed from its position.

    A Feistel network permutes the numbers of 2h bits, and what leaves 0…n-1 is permuted again until it returns ("cycle
    walking", fewer than 4 times on average): Black and Rogaway, "Ciphers with Arbitrary Finite Domains" (2002).
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def take(self, epoch: int, n: int, positions: Tensor) -> Tensor:
        """As of EpochOrder."""
        half = np.uint64(max(1, ((n - 1).bit_length() + 1) // 2))
        keys = _mix(np.arange(1, _ROUNDS + 1, dtype=np.uint64) * _GOLDEN + np.uint64(_epoch_seed(self._seed, epoch)))
        items = _permute(positions.numpy().astype(np.uint64), half, keys)
        while len(outside := np.flatnonzero(items >= n)):
            items[outside] = _permute(items[outside], half, keys)
        return torch.from_numpy(items.astype(np.int64))


POOL_BATCHES = 16
"""Items are sorted by length within pools of this many batches: little padding, yet every step is mixed."""


class BatchOrder:
    """Which items make each batch: `size` of similar length, mixed anew in every epoch of training.

    n: how many items there are. lengths: items (long) -> their lengths. order: shuffles the batches, and the items too
    unless shuffle(epoch, positions) says which items stand at these positions of an epoch. pool_batches: so many are
    sorted together (None: all). Without `is_shuffled` all items come, in one order; else the last batch of an epoch is
    left out if it is not full.
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
        """The items (long) of batch `number`, counted through all epochs."""
        if not self._is_shuffled:
            return self._members(0, number)
        epoch, index = divmod(number, self.n_batches)
        return self._members(epoch, int(self._order.take(-1 - epoch, self.n_batches, torch.tensor([index]))))

    def _members(self, epoch: int, index: int) -> Tensor:
        """The items of batch `index` of an epoch, before its batches are shuffled."""
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
    """One pass through the Feistel network on numbers of 2 · `half` bits."""
    mask = (np.uint64(1) << half) - np.uint64(1)
    left, right = numbers >> half, numbers & mask
    for key in keys:
        left, right = right, left ^ (_mix(right ^ key) & mask)
    return (left << half) | right


def _mix(x: Numbers) -> Numbers:
    """The finaliser of SplitMix64 (Steele, Lea and Flood, 2014): each bit depends on all bits."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Numbers = x ^ (x >> np.uint64(31))
    return mixed


def _epoch_seed(seed: int, epoch: int) -> int:
    return seed * 1_000_003 + (epoch % 2**31)
