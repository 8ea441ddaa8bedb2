"""Replies against llama.cpp's: the same GGUF file, the same number of threads, by turns, with the perplexity beside.

llama-cpp-python is not a dependency: `pip install llama-cpp-python` compiles it.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from terrarium.models.architecture.transformer import Decoder
from terrarium.models.events import Event, Phase, Progress
from terrarium.models.inference.continuation import Continuation
from terrarium.models.inference.held_out import held_out_texts
from terrarium.models.inference.measure_weights import nats
from terrarium.models.inference.weights import prepare_weights
from terrarium.models.interop.loading import load_model_events
from terrarium.models.library.library import Library
from tools.bench.result import Result, compared

KINDS = ("int4", "int8")
N_PROMPT, N_WRITTEN, ROUNDS = 256, 64, 7
N_WINDOWS, WINDOW = 8, 256
"""The number of texts whose tokens are predicted, and their length."""
WRITTEN_TARGET, READ_TARGET = 1.0, 0.5
_SKIPPED = "llama-cpp-python is not installed"


def bench_llama_cpp(path: Path, library: Library, rounds: int = ROUNDS) -> Generator[Event, None, list[Result]]:
    """For each format of ours: tokens per second written and read, and the perplexity, beside llama.cpp's.

    Raises:
        ValueError: if `path` is not a decoder in a .gguf file.
    """
    if importlib.util.find_spec("llama_cpp") is None:
        return [Result(name="llama.cpp", unit="tokens/s", skipped=_SKIPPED)]
    model, tokenizer = yield from load_model_events(path, "cpu")
    if path.suffix != ".gguf" or not isinstance(model, Decoder) or tokenizer is None:
        raise ValueError(f"{path} is no decoder in a .gguf file, which llama.cpp needs: choose one.")
    yield Phase(name="Preparing weights")
    ours = {kind: _prepared(model, kind) for kind in KINDS}
    theirs = _Theirs(path, torch.get_num_threads())
    ids = [each for text in held_out_texts(path, tokenizer, library).texts for each in text]
    windows = [ids[i * WINDOW : (i + 1) * WINDOW] for i in range(N_WINDOWS)]
    programs: dict[str, _Ours | _Theirs] = {kind: _Ours(each) for kind, each in ours.items()}
    programs["llama.cpp"] = theirs
    yield Phase(name="Reading and writing")
    read: dict[str, list[float]] = {name: [] for name in programs}
    written: dict[str, list[float]] = {name: [] for name in programs}
    for done in range(rounds + 1):
        for name, program in programs.items():
            seconds = program.write(ids[:N_PROMPT], N_WRITTEN)
            read[name].append(N_PROMPT / seconds[0])
            written[name].append(N_WRITTEN / sum(seconds[1:]))
        yield Progress(done=done, total=rounds)
    yield Phase(name="Predicting")
    perplexity = {
        name: math.exp(sum(map(program.nats, windows)) / (N_WINDOWS * (WINDOW - 1)))
        for name, program in programs.items()
    }
    # The best round counts: other load can only make one slower. The first round warms up.
    results = []
    for kind in KINDS:
        for what, rates, target in (("writes", written, WRITTEN_TARGET), ("reads", read, READ_TARGET)):
            best, reference = max(rates[kind][1:]), max(rates["llama.cpp"][1:])
            goal = target if kind == KINDS[0] else None
            by_turns = zip(rates[kind][1:], rates["llama.cpp"][1:], strict=True)
            results.append(
                compared(
                    f"{kind} {what}", best, reference, "tokens/s", less_is_better=False, target=goal, rounds=by_turns
                )
            )
        reference = perplexity["llama.cpp"]
        results.append(compared(f"{kind} perplexity", perplexity[kind], reference, "", less_is_better=True))
    return results


def _prepared(model: Decoder, kind: str) -> Decoder:
    prepared = prepare_weights(model, kind)
    assert isinstance(prepared, Decoder)
    return prepared


class _Ours:
    def __init__(self, model: Decoder) -> None:
        self._model = model

    def write(self, prompt: Sequence[int], n: int) -> list[float]:
        """Seconds to read the prompt, and for each of `n` more tokens, the most likely ones."""
        text, new, seconds = Continuation(self._model, list(prompt), -1), torch.tensor([list(prompt)]), []
        for _ in range(n + 1):
            began = time.perf_counter()
            new = text.next_logits(new).argmax(dim=-1, keepdim=True)
            seconds.append(time.perf_counter() - began)
        return seconds

    def nats(self, window: Sequence[int]) -> float:
        """The summed surprisal of all tokens but the first."""
        return nats(self._model, window)


class _Theirs:
    def __init__(self, path: Path, threads: int) -> None:
        llama = importlib.import_module("llama_cpp").Llama
        settings: dict[str, Any] = {"n_ctx": 512, "n_threads": threads, "n_threads_batch": threads, "verbose": False}
        self._writer = llama(str(path), **settings)
        self._reader = llama(str(path), logits_all=True, **settings)  # keeps what it predicts at each token

    def write(self, prompt: Sequence[int], n: int) -> list[float]:
        """As of `_Ours`."""
        self._writer.reset()
        seconds, new = [], list(prompt)
        for _ in range(n + 1):
            began = time.perf_counter()
            self._writer.eval(new)
            new = [int(np.argmax(self._writer._ctx.get_logits_ith(-1)[: self._writer.n_vocab()]))]
            seconds.append(time.perf_counter() - began)
        return seconds

    def nats(self, window: Sequence[int]) -> float:
        """As of `_Ours`."""
        self._reader.reset()
        self._reader.eval(list(window[:-1]))
        logits = torch.from_numpy(np.array(self._reader.scores[: len(window) - 1]))
        return float(F.cross_entropy(logits, torch.tensor(list(window[1:])), reduction="sum"))
