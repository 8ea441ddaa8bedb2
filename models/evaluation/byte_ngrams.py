"""N-gram models of bytes with interpolated Kneser–Ney smoothing.

Source: Chen & Goodman, "An Empirical Study of Smoothing Techniques for Language Modeling" (1998), section 2.7, and
Kneser & Ney (1995). No torch import.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from terrarium.models.events import Event, Progress

if TYPE_CHECKING:
    import numpy.typing as npt

    _Codes = npt.NDArray[np.uint64]
    _Counts = npt.NDArray[np.int64]
    _Floats = npt.NDArray[np.float64]

MAX_ORDER = 8
"""The maximum bytes of an n-gram, because it is stored in one 64-bit number."""
_N_BYTES = 256
_LEAST_DISCOUNT = 0.1
"""The discount if no n-gram occurs exactly once: the estimate would be 0, and unseen n-grams impossible."""


def bits_by_order(
    train: bytes, held_out: bytes, orders: Sequence[int], discounts: Sequence[float] | None = None
) -> Generator[Event, None, dict[int, float]]:
    """Compute the bits per byte of `held_out` by n-gram models of each of the `orders`, counted in `train`.

    An n-gram model of order n predicts a byte from the n - 1 before it. Those before the first byte of `held_out` are
    the last of `train`; with fewer bytes than that, a lower order predicts. Below the highest order, counts are of
    the distinct bytes before an n-gram; order 1 is interpolated with a uniform distribution over all bytes. Yields
    Progress.

    Args:
        discounts: subtracted from each count, by order from 1; None for n1 / (n1 + 2 n2), from the numbers of n-grams
            with count 1 and 2.
    """
    assert held_out
    assert 1 <= min(orders) <= max(orders) <= MAX_ORDER
    lowest = np.full(len(held_out), 1 / _N_BYTES)
    bits: dict[int, float] = {}
    codes, counts = _count(_codes(train, 1))
    text = train[-(MAX_ORDER - 1) :] + held_out
    for order in range(1, max(orders) + 1):
        asked = _codes(text, order)[-len(held_out) :]
        fixed = None if discounts is None else discounts[order - 1]
        if order in orders:
            top = _interpolated(codes, counts, asked, lowest, fixed)
            bits[order] = float(-np.log2(top).mean())
        yield Progress(done=2 * order - 1, total=2 * max(orders))
        if order < max(orders):
            longer, longer_counts = _count(_codes(train, order + 1))
            continued = _continuations(longer, codes, order, train)
            lowest = _interpolated(codes, continued, asked, lowest, fixed)
            codes, counts = longer, longer_counts
        yield Progress(done=2 * order, total=2 * max(orders))
    return bits


def _codes(text: bytes, order: int) -> _Codes:
    """Return the n-grams of a text as numbers (n - order + 1,), with the last byte as the lowest digit."""
    values, n = np.frombuffer(text, np.uint8), max(0, len(text) - order + 1)
    codes = np.zeros(n, np.uint64)
    for i in range(order):
        codes <<= np.uint64(8)
        codes |= values[i : i + n]
    return codes


def _count(codes: _Codes) -> tuple[_Codes, _Counts]:
    """Return the distinct n-grams in ascending order, and how often each occurs."""
    return np.unique(codes, return_counts=True)


def _continuations(longer: _Codes, codes: _Codes, order: int, train: bytes) -> _Counts:
    """Count the distinct bytes before each of the n-grams `codes`, given the distinct n-grams that are one longer.

    The n-gram that begins the text is preceded by the beginning of the text, which counts as one more.
    """
    positions = np.searchsorted(codes, longer & np.uint64(256**order - 1))
    found = np.bincount(positions, minlength=len(codes))
    if len(codes):
        found[np.searchsorted(codes, _codes(train[:order], order))] += 1
    return found


def _interpolated(codes: _Codes, counts: _Counts, asked: _Codes, lower: _Floats, discount: float | None) -> _Floats:
    """Return the probability of the last byte of each n-gram given the others.

    Args:
        codes, counts: (K,) the distinct n-grams of the training text, ascending, and the count of each.
        asked: (M,) n-grams.
        lower: (N,) the probabilities by the next lower order, of which the last M belong to `asked`. They are the
            result for the N - M bytes with too few bytes before them, and for unknown contexts.

    Returns:
        (N,) probabilities.
    """
    if not len(codes):
        return lower
    n_short = len(lower) - len(asked)
    short, lower = lower[:n_short], lower[n_short:]
    if discount is None:
        n1, n2 = int((counts == 1).sum()), int((counts == 2).sum())
        discount = n1 / (n1 + 2 * n2) if n1 else _LEAST_DISCOUNT
    byte = np.uint64(8)
    contexts = codes >> byte
    first = np.flatnonzero(np.concatenate([[True], contexts[1:] != contexts[:-1]]))
    contexts = contexts[first]
    totals, kinds = np.add.reduceat(counts, first), np.diff(np.append(first, len(codes)))
    before = asked >> byte
    at = np.searchsorted(contexts, before).clip(max=len(contexts) - 1)
    is_known = contexts[at] == before
    total, n_kinds = totals[at], kinds[at]
    place = np.searchsorted(codes, asked).clip(max=len(codes) - 1)
    count = np.where(codes[place] == asked, counts[place], 0)
    probability = (np.maximum(count - discount, 0.0) + discount * n_kinds * lower) / total
    return np.concatenate([short, np.where(is_known, probability, lower)])
