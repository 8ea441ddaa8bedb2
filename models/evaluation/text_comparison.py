"""Compares a model of the user's own text with gzip and n-gram models: bits per byte of the same held-out bytes."""

from __future__ import annotations

import dataclasses
import math
import zlib
from collections.abc import Generator

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer

from terrarium.models.architecture.transformer import Decoder
from terrarium.models.corpora.corpus import Corpus
from terrarium.models.evaluation.byte_ngrams import bits_by_order
from terrarium.models.events import Event, Phase, Progress, TextCompared
from terrarium.models.tokenizers import encode_text

MAX_TRAIN_BYTES, MAX_HELD_OUT_BYTES = 1 << 23, 1 << 18
"""Limits for larger texts: the tables and gzip learn from the end of the training part, and the beginning of the
held-out part is predicted. N-grams of the former take some seconds and 300 MB, and a small model reads the latter
in some seconds.
"""
TRIGRAM, TABLE_ORDERS = 3, (4, 5, 6, 7)
_WINDOWS = 8
"""Windows of the model's context between two events."""


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
