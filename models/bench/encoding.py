"""The tokenizer bench: how fast a long text is encoded, beside one plain call of the `tokenizers` library. No torch."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Generator

from models.bench.result import Result, compared
from models.events import Event, Phase
from models.tokenizers import encode_text, train_tokenizer

VOCAB_SIZE = 2048
ROUNDS = 3
_TRAINING_CHARACTERS = 300_000


def bench_encoding(text: str, rounds: int = ROUNDS) -> Generator[Event, None, Result]:
    """MB/s of `encode_text` with a byte-level BPE tokenizer trained on the text's beginning; both give the same ids."""
    yield Phase(name="Training a tokenizer")
    tokenizer = train_tokenizer([text[:_TRAINING_CHARACTERS]], "bpe", VOCAB_SIZE)
    megabytes = len(text.encode()) / 1e6

    def plainly(text: str) -> list[int]:
        ids: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    rates: list[list[float]] = [[], []]
    for _ in range(rounds):
        yield Phase(name="Encoding")
        (seconds, ours), (plain_seconds, theirs) = (
            _timed(lambda text: encode_text(tokenizer, text), text),
            _timed(plainly, text),
        )
        assert ours == theirs
        rates[0].append(megabytes / seconds)
        rates[1].append(megabytes / plain_seconds)
    ours_rate, plain_rate = map(statistics.median, rates)
    return compared("tokenizer", ours_rate, plain_rate, "MB/s encoded", less_is_better=False)


def _timed(encode: Callable[[str], list[int]], text: str) -> tuple[float, list[int]]:
    began = time.perf_counter()
    ids = encode(text)
    return time.perf_counter() - began, ids
