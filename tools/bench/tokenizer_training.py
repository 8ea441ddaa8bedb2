"""Tokenizer training benchmark, compared to a plain call of the `tokenizers` library. No torch."""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections.abc import Generator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tokenizers import Tokenizer, trainers
from tokenizers import models as cores

from terrarium.models.events import Event, Phase
from terrarium.models.tokenizers import SPECIAL_TOKENS, TokenBytes, read_texts, train_in_child, train_tokenizer
from tools.bench.result import Result, compared

VOCAB_SIZE = 4096
ROUNDS = 8
"""The best round counts, on both sides: it is the round least disturbed by other programs."""
TARGET = 0.9
"""Minimum ratio: our code around the library may cost a tenth."""


def bench_tokenizer_training(text: str, rounds: int = ROUNDS) -> Generator[Event, None, Result]:
    """MB/s of training byte-level BPE like the window, in a child process, without the time to start it."""
    megabytes = len(text.encode()) / 1e6
    whole, start, plain = [], [], []
    with tempfile.TemporaryDirectory(prefix="terrarium-bench-") as folder:
        file = Path(folder) / "text.txt"
        file.write_text(text, encoding="utf-8", newline="")
        for i in range(rounds):
            yield Phase(name="Training a tokenizer")
            whole.append((yield from _seconds(file, "bpe", Path(folder) / f"bpe{i}")))
            start.append((yield from _seconds(file, "byte", Path(folder) / f"byte{i}")))
            seconds, vocabulary = _train_plain_in_child(file)
            plain.append(seconds)
            trained = Tokenizer.from_file(str(Path(folder) / f"bpe{i}" / "tokenizer.json"))
            assert trained.get_vocab() == vocabulary
    return compared(
        "tokenizer train",
        megabytes / max(min(whole) - min(start), 1e-9),
        megabytes / min(plain),
        "MB/s trained",
        less_is_better=False,
        target=TARGET,
    )


def _seconds(file: Path, kind: str, out: Path) -> Generator[Event, None, float]:
    """Seconds a child process takes; with kind "byte", which learns nothing, the time of the process itself."""
    started_at = time.perf_counter()
    yield from train_in_child([file], kind, VOCAB_SIZE, out)
    return time.perf_counter() - started_at


def _train_plain_in_child(file: Path) -> tuple[float, dict[str, int]]:
    """Seconds and vocabulary of a plain training in a new process, like ours: a first training takes longer."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as executor:
        return executor.submit(_time_plain, file).result()


def _time_plain(file: Path) -> tuple[float, dict[str, int]]:
    texts = list(read_texts([file]))
    started_at = time.perf_counter()
    tokenizer = _train_plain(texts)
    return time.perf_counter() - started_at, tokenizer.get_vocab()


def _train_plain(texts: list[str]) -> Tokenizer:
    """The same tokenizer, trained with the library alone."""
    tokenizer = Tokenizer(cores.BPE())
    tokenizer.pre_tokenizer = train_tokenizer([texts[0][:100]], "bpe", VOCAB_SIZE).pre_tokenizer
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        min_frequency=2,
        show_progress=False,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=sorted(TokenBytes.alphabet()),
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer
