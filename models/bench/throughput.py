"""Throughput benchmark: training tokens per second of our GPT-2 and Hugging Face's, at three sizes, in turns."""

from __future__ import annotations

import dataclasses
import importlib.util
import statistics
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from models.architecture.transformer import build_model
from models.bench.result import Result, compared
from models.data.batch import Batch
from models.events import Event, Notice, Phase, Progress
from models.settings.model_config import ModelConfig
from models.settings.presets import PRESETS
from models.training.objective import weighted_nll

SKIPPED = "pip install 'llm-terrarium[bench]'"
ROUNDS, TARGET = 5, 1.5
_LENGTH = 128


@dataclass(frozen=True)
class ThroughputCase:
    """A GPT-2 of about `millions` of parameters, and the batch size of its benchmark."""

    millions: int
    n_layer: int
    d_model: int
    n_head: int
    vocab_size: int
    batch_size: int


SIZES = (
    ThroughputCase(1, n_layer=4, d_model=128, n_head=4, vocab_size=1024, batch_size=16),
    ThroughputCase(10, n_layer=6, d_model=320, n_head=5, vocab_size=8192, batch_size=8),
    ThroughputCase(30, n_layer=8, d_model=512, n_head=8, vocab_size=8192, batch_size=4),
)


def bench_throughput(
    device: torch.device, sizes: tuple[ThroughputCase, ...] = SIZES, rounds: int = ROUNDS
) -> Generator[Event, None, list[Result]]:
    """One result per size: forward, backward, clipping and AdamW on random ids, in float32, the same for both."""
    if importlib.util.find_spec("transformers") is None:
        return [Result(name=_name(size), unit="tokens/s", skipped=SKIPPED) for size in sizes]
    results = []
    for size in sizes:
        yield Phase(name=f"GPT-2 of {size.millions} M parameters")
        results.append((yield from _compare(size, device, rounds)))
    return results


def _name(size: ThroughputCase) -> str:
    return f"throughput {size.millions} M"


def _compare(size: ThroughputCase, device: torch.device, rounds: int) -> Generator[Event, None, Result]:
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(size.vocab_size, (size.batch_size, _LENGTH + 1), generator=generator)
    batch = Batch(inputs=ids[:, :-1], targets=ids[:, 1:], weights=torch.ones(size.batch_size, _LENGTH))
    torch.manual_seed(0)
    ours, theirs = build_model(_our_config(size)).to(device), _hugging_face(size).to(device)
    steps = (_our_step(ours, batch), _their_step(theirs, ids.to(device)))
    seconds: tuple[list[float], list[float]] = ([], [])
    for i in range(rounds + 1):
        for step, times in zip(steps, seconds, strict=True):
            started_at = time.perf_counter()
            step()
            times.append(time.perf_counter() - started_at)
        yield Progress(done=i + 1, total=rounds + 1)
    n_tokens = size.batch_size * _LENGTH
    rates = [n_tokens / statistics.median(times[1:]) for times in seconds]  # the first round warms up
    counts = [sum(parameter.numel() for parameter in model.parameters()) for model in (ours, theirs)]
    yield Notice(sentence=f"{counts[0]:,} parameters, Hugging Face's {counts[1]:,}")
    by_turns = [(1 / our, 1 / their) for our, their in zip(*(times[1:] for times in seconds), strict=True)]
    return compared(_name(size), rates[0], rates[1], "tokens/s", less_is_better=False, target=TARGET, rounds=by_turns)


def _our_config(size: ThroughputCase) -> ModelConfig:
    return dataclasses.replace(
        PRESETS["gpt2-tiny"],
        vocab_size=size.vocab_size,
        context_length=_LENGTH,
        n_layer=size.n_layer,
        n_head=size.n_head,
        d_model=size.d_model,
        dropout=0.0,
    )


def _hugging_face(size: ThroughputCase) -> nn.Module:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=size.vocab_size,
        n_positions=_LENGTH,
        n_embd=size.d_model,
        n_layer=size.n_layer,
        n_head=size.n_head,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=0,
        eos_token_id=0,
    )
    model: Any = GPT2LMHeadModel(config)
    return model  # type: ignore[no-any-return]


def _our_step(model: Any, batch: Batch) -> Callable[[], float]:
    n = float(batch.weights.sum())
    return _make_step(model, lambda: weighted_nll(model, batch) / n)


def _their_step(model: Any, ids: Tensor) -> Callable[[], float]:
    inputs, targets = ids[:, :-1], ids[:, 1:].flatten()

    def loss() -> Tensor:
        logits = model(input_ids=inputs).logits
        return nn.functional.cross_entropy(logits.flatten(0, 1), targets)

    return _make_step(model, loss)


def _make_step(model: nn.Module, loss_of: Callable[[], Tensor]) -> Callable[[], float]:
    """A function that makes one whole training step and returns its loss, waiting for the device."""
    model.train()
    optimizer: Optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)

    def step() -> float:
        loss = loss_of()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return float(loss.detach())

    return step
