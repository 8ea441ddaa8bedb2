"""Encoding benchmark: speed on a long text, compared to a plain call of the `tokenizers` library. No torch."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Generator

from terrarium.models.events import Event, Phase
from terrarium.models.tokenizers import encode_text, train_tokenizer
from tools.bench.result import Result, compared

VOCAB_SIZE = 2048
ROUNDS = 3
TARGET = 0.9
"""Minimum ratio: our code around the library may cost a tenth."""

_TRAINING_CHARACTERS = 300_000


def bench_encoding(text: str, rounds: int = ROUNDS) -> Generator[Event, None, Result]:
    """MB/s of `encode_text` with a byte-level BPE tokenizer trained on the text's start; both give the same ids."""
    yield Phase(name="Training a tokenizer")
    tokenizer = train_tokenizer([text[:_TRAINING_CHARACTERS]], "bpe", VOCAB_SIZE)
    megabytes = len(text.encode()) / 1e6
    our_rates, plain_rates = [], []
    for _ in range(rounds):
        yield Phase(name="Encoding")
        seconds, ids = _timed(lambda: encode_text(tokenizer, text))
        plain_seconds, plain_ids = _timed(lambda: tokenizer.encode(text, add_special_tokens=False).ids)
        assert ids == plain_ids
        our_rates.append(megabytes / seconds)
        plain_rates.append(megabytes / plain_seconds)
    return compared(
        "tokenizer encode",
        statistics.median(our_rates),
        statistics.median(plain_rates),
        "MB/s encoded",
        less_is_better=False,
        target=TARGET,
    )


def _timed(encode: Callable[[], list[int]]) -> tuple[float, list[int]]:
    """Return the seconds that a call takes, and its result."""
    began = time.perf_counter()
    ids = encode()
    return time.perf_counter() - began, ids
