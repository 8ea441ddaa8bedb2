"""Near-duplicate texts: MinHash of their 5-shingles, and groups by estimated similarity (Broder 1997)."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
import numpy.typing as npt

from terrarium.models.events import Event, Progress

N_HASHES = 128
N_CHARACTERS = 5
SIMILAR = 0.8
"""Texts are near-duplicates if they share at least this much of their shingles (estimated Jaccard similarity)."""
MAX_CHARACTERS = 1000
"""Only this many characters at the beginning of a text are compared."""

_N_BANDS = 16
_BATCH_SIZE = 8192
_PRIME = np.uint64(0x9E3779B97F4A7C15)

Signature = npt.NDArray[np.uint32]
Indices = npt.NDArray[np.int64]


class MinHash:
    """The 128 hash functions, drawn from a fixed seed."""

    def __init__(self) -> None:
        generator = np.random.default_rng(5)
        self._factors = generator.integers(0, 1 << 32, (N_HASHES, 1), dtype=np.uint32) | np.uint32(1)
        self._terms = generator.integers(0, 1 << 32, (N_HASHES, 1), dtype=np.uint32)
        self._buffer = np.empty((N_HASHES, MAX_CHARACTERS), np.uint32)
        """(N_HASHES, shingles), reused, because allocating memory for each text would take most of the time."""

    def signature(self, text: str) -> Signature:
        """Return the minimum (N_HASHES,) of each hash function over the shingles of a text."""
        data = text[:MAX_CHARACTERS].encode("utf-32-le", "surrogatepass") or bytes(4)
        codes = np.frombuffer(data, np.uint32).astype(np.uint64)
        shingles = np.zeros(max(1, len(codes) - N_CHARACTERS + 1), np.uint64)
        for offset in range(min(N_CHARACTERS, len(codes))):
            shingles = (shingles + codes[offset : offset + len(shingles)]) * _PRIME
            shingles ^= shingles >> np.uint64(29)
        hashes = self._buffer[:, : len(shingles)]
        np.multiply((shingles >> np.uint64(32)).astype(np.uint32), self._factors, out=hashes)
        hashes += self._terms
        least: Signature = hashes.min(axis=1)
        return least


def near_groups(signatures: npt.NDArray[np.uint32]) -> Generator[Event, None, Indices]:
    """Return for each text (n, N_HASHES) the index of the first text of its group, or its own. Yields Progress."""
    n = len(signatures)
    groups = np.arange(n)
    for done, band in enumerate(np.split(signatures, _N_BANDS, axis=1)):
        yield Progress(done=done, total=_N_BANDS)
        keys = np.zeros(n, np.uint64)
        for column in band.T:
            keys = (keys + column) * _PRIME
            keys ^= keys >> np.uint64(31)
        order = np.argsort(keys, kind="stable")
        is_first = np.ones(n, bool)
        is_first[1:] = keys[order[1:]] != keys[order[:-1]]
        firsts = order[np.maximum.accumulate(np.where(is_first, np.arange(n), 0))]
        pairs = np.flatnonzero(~is_first)
        for start in range(0, len(pairs), _BATCH_SIZE):
            chosen = pairs[start : start + _BATCH_SIZE]
            rows, others = order[chosen], firsts[chosen]
            similar = (signatures[rows] == signatures[others]).mean(axis=1) >= SIMILAR
            groups = _joined(groups, rows[similar], others[similar])
    return groups


def components(*keys: npt.NDArray[np.generic]) -> Indices:
    """Return for each item the smallest index of its connected component; items with an equal key are connected."""
    n = len(keys[0])
    groups: Indices = np.arange(n)
    inverses = [np.unique(key, return_inverse=True)[1].reshape(-1) for key in keys]
    while True:
        before = groups
        for inverse in inverses:
            least = np.full(n, n)
            np.minimum.at(least, inverse, groups)
            groups = least[inverse]
        if np.array_equal(before, groups):
            return groups


def _joined(groups: Indices, rows: Indices, others: Indices) -> Indices:
    """Return the groups after merging those of each of `rows` and its counterpart in `others`."""
    while True:
        least = np.minimum(groups[rows], groups[others])
        if np.array_equal(groups[rows], least) and np.array_equal(groups[others], least):
            return groups
        roots = np.arange(len(groups))
        np.minimum.at(roots, groups[rows], least)
        np.minimum.at(roots, groups[others], least)
        groups = roots[groups]
