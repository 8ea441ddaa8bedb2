"""Decoding benchmark: tokens per second of a small model, with and without the KV cache."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Generator

import torch
from torch import Tensor

from terrarium.models.architecture.cache import KVCache
from terrarium.models.architecture.transformer import Decoder
from terrarium.models.events import Event, Phase
from terrarium.models.settings.presets import PRESETS
from tools.bench.result import Result, compared

PRESET = "terrarium-tiny"
N_PROMPT, N_TOKENS, ROUNDS = 16, 200, 3


def bench_decoding(
    device: torch.device, n_tokens: int = N_TOKENS, rounds: int = ROUNDS
) -> Generator[Event, None, Result]:
    """Tokens/s of greedy decoding after a short prompt, batch size 1: with the cache, compared to without it."""
    torch.manual_seed(0)
    config = dataclasses.replace(PRESETS[PRESET], context_length=N_PROMPT + n_tokens)
    model = Decoder(config).to(device).eval()
    prompt = torch.randint(config.vocab_size, (1, N_PROMPT), device=device)
    rates: dict[bool, list[float]] = {True: [], False: []}
    for number in range(rounds + 1):
        for cached in (True, False):
            yield Phase(name=f"Decoding {'with' if cached else 'without'} the cache")
            began = time.perf_counter()
            ids = decode_greedily(model, prompt, n_tokens, cached=cached)
            assert len(ids) == n_tokens
            if number:  # the first round warms up
                rates[cached].append(n_tokens / (time.perf_counter() - began))
    return compared(
        "decode",
        statistics.median(rates[True]),
        statistics.median(rates[False]),
        "tokens/s",
        less_is_better=False,
        rounds=zip(rates[True], rates[False], strict=True),
    )


@torch.inference_mode()
def decode_greedily(model: Decoder, prompt: Tensor, n_tokens: int, *, cached: bool) -> list[int]:
    """Decode `n_tokens` greedily after prompt (1, T); unless `cached`, the whole text is read again for each token."""
    cache = KVCache(model.config.n_layer) if cached else None
    ids, written = prompt, []
    for _ in range(n_tokens):
        choice = model.logits(model.hidden(ids, cache=cache)[:, -1]).argmax(dim=-1, keepdim=True)  # (1, 1)
        written.append(int(choice))
        ids = choice if cached else torch.cat((ids, choice), dim=1)
    return written
