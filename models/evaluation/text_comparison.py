"""Compares a model of the user's own text with gzip and n-gram models: bits per byte of the same held-out bytes.

The n-gram models of bytes have interpolated Kneser–Ney smoothing: Chen & Goodman, "An Empirical Study of Smoothing
Techniques for Language Modeling" (1998), section 2.7, and Kneser & Ney (1995).
"""

from __future__ import annotations

import dataclasses
import math
import zlib
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer

from terrarium.models.architecture.transformer import Decoder
from terrarium.models.corpora.corpus import Corpus
from terrarium.models.events import Event, Phase, Progress, TextCompared
from terrarium.models.tokenizers import encode_text

if TYPE_CHECKING:
    import numpy.typing as npt

    _Codes = npt.NDArray[np.uint64]
    _Counts = npt.NDArray[np.int64]
    _Floats = npt.NDArray[np.float64]


MAX_TRAIN_BYTES, MAX_HELD_OUT_BYTES = 1 << 23, 1 << 18
"""Limits for larger texts: the tables and gzip learn from the end of the training part, and the beginning of the
held-out part is predicted. N-grams of the former take some seconds and 300 MB, and a small model reads the latter
in some seconds.
"""
TRIGRAM, TABLE_ORDERS = 3, (4, 5, 6, 7)
_WINDOWS = 8
"""Windows of the model's context between two events."""
_MAX_ORDER = 8
"""The maximum bytes of an n-gram, because it is stored in one 64-bit number."""
_N_BYTES = 256
_LEAST_DISCOUNT = 0.1
"""The discount if no n-gram occurs exactly once: the estimate would be 0, and unseen n-grams impossible."""


def compare_tables(corpus: Corpus) -> Generator[Event, None, TextCompared]:
    """Measure the bits per byte of the held-out part of a text by gzip and n-gram models. Yields Phase, Progress."""
    yield Phase(name="Measuring what tables can predict")
    train, held_out = _train_bytes(corpus), _held_out_bytes(corpus)
    gzip = _gzip_bits(train, held_out)
    bits = yield from bits_by_order(train, held_out, (TRIGRAM, *TABLE_ORDERS))
    best = min(TABLE_ORDERS, key=lambda order: bits[order])
    return TextCompared(
        n_held_out=len(held_out),
        n_train=len(train),
        gzip=gzip,
        trigram=bits[TRIGRAM],
        table=bits[best],
        table_order=best,
    )


def _train_bytes(corpus: Corpus) -> bytes:
    file = corpus.file("train")
    return file.read(max(0, file.size - MAX_TRAIN_BYTES), file.size)


def _held_out_bytes(corpus: Corpus) -> bytes:
    """Return the beginning of the held-out part, without a truncated last character."""
    return corpus.file("val").read(0, MAX_HELD_OUT_BYTES).decode(errors="ignore").encode()


def _gzip_bits(train: bytes, held_out: bytes) -> float:
    """Return by how many bits each held-out byte lengthens the compressed text."""
    rest = zlib.compressobj(9, zlib.DEFLATED, 31)
    n_before = len(rest.compress(train))
    both = rest.copy()
    n_both = n_before + len(both.compress(held_out)) + len(both.flush())
    return 8 * (n_both - n_before - len(rest.flush())) / max(1, len(held_out))


def compare_model(
    compared: TextCompared, model: Decoder, tokenizer: Tokenizer, corpus: Corpus, step: int
) -> Generator[Event, None, TextCompared]:
    """Add to the comparison the bits per byte of a model after `step`. Yields Phase, Progress.

    Each token is predicted with at least half a context before it; the first held-out tokens follow the end of the
    training text. The model's mode is unchanged.
    """
    yield Phase(name="Comparing it with tables")
    held_out = _held_out_bytes(corpus).decode()
    before = corpus.file("train")
    n_context = model.config.context_length
    tail = before.read(max(0, before.size - 16 * n_context), before.size).decode(errors="ignore")
    prefix = encode_text(tokenizer, tail)[-n_context:]
    ids = torch.tensor(prefix + encode_text(tokenizer, held_out))
    was_training = model.training
    model.eval()
    nats, first, stride = 0.0, len(prefix), max(1, n_context // 2)
    starts = range(first, len(ids), stride)
    for done, start in enumerate(starts, start=1):
        end = min(start + stride, len(ids))
        with torch.inference_mode():
            read = ids[max(0, end - 1 - n_context) : end].to(model.embedding.weight.device)
            states = model.hidden(read[None, :-1])[0, start - end :]
            nats += float(F.cross_entropy(model.logits(states).float(), read[start - end :], reduction="sum"))
        if done % _WINDOWS == 0 or end == len(ids):
            yield Progress(done=done, total=len(starts))
    model.train(was_training)
    return dataclasses.replace(compared, model=nats / math.log(2) / max(1, len(held_out.encode())), step=step)


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
    assert 1 <= min(orders) <= max(orders) <= _MAX_ORDER
    lowest = np.full(len(held_out), 1 / _N_BYTES)
    bits: dict[int, float] = {}
    codes, counts = _count(_codes(train, 1))
    text = train[-(_MAX_ORDER - 1) :] + held_out
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
