"""Throughput benchmark: training tokens per second of our GPT-2 and Hugging Face's, at three sizes, in turns.

In float32, and in bfloat16 where the device is fast at that: both then multiply in bfloat16 (autocast).
"""

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

from terrarium.models.architecture.transformer import build_model
from terrarium.models.data.batch import Batch
from terrarium.models.design.operations import operations
from terrarium.models.device import bf16_is_fast
from terrarium.models.events import Event, Notice, Phase, Progress
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS
from terrarium.models.training.machine import peak_matmul_flops
from terrarium.models.training.objective import weighted_nll
from tools.bench.result import Result, compared

SKIPPED = "pip install 'llm-terrarium[bench]'"
ROUNDS, TARGET = 5, 1.5
_LENGTH = 128
_NAMES = {torch.float32: "float32", torch.bfloat16: "bfloat16"}


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
    """Two results per size and precision, of forward, backward, clipping and AdamW on random ids, the same for both:
    tokens per second, and the share of the measured peak of matrix products that our arithmetic makes up."""
    dtypes = (torch.float32, torch.bfloat16) if bf16_is_fast(device) else (torch.float32,)
    cases = [(size, dtype) for size in sizes for dtype in dtypes]
    if importlib.util.find_spec("transformers") is None:
        return [Result(name=_name(*case), unit="tokens/s", skipped=SKIPPED) for case in cases]
    results: list[Result] = []
    for size, dtype in cases:
        yield Phase(name=f"GPT-2 of {size.millions} M parameters in {_NAMES[dtype]}")
        results += yield from _compare(size, dtype, device, rounds)
    return results


def _name(size: ThroughputCase, dtype: torch.dtype) -> str:
    return f"throughput {size.millions} M {_NAMES[dtype]}"


def _compare(
    size: ThroughputCase, dtype: torch.dtype, device: torch.device, rounds: int
) -> Generator[Event, None, list[Result]]:
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(size.vocab_size, (size.batch_size, _LENGTH + 1), generator=generator)
    batch = Batch(inputs=ids[:, :-1], targets=ids[:, 1:], weights=torch.ones(size.batch_size, _LENGTH))
    torch.manual_seed(0)
    config = _our_config(size)
    ours, theirs = build_model(config).to(device), _hugging_face(size).to(device)
    steps = (_our_step(ours, batch, dtype), _their_step(theirs, ids.to(device), dtype))
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
    name = _name(size, dtype)
    speed = compared(name, rates[0], rates[1], "tokens/s", less_is_better=False, target=TARGET, rounds=by_turns)
    flops = rates[0] / _LENGTH * 3 * sum(operations(config, _LENGTH).values())
    share = 100 * flops / peak_matmul_flops(device, dtype)
    return [speed, Result(name=f"peak share {name}", unit="% of the peak of matrix products", ours=share)]


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


def _our_step(model: Any, batch: Batch, dtype: torch.dtype) -> Callable[[], float]:
    n = float(batch.weights.sum())
    return _make_step(model, lambda: weighted_nll(model, batch, dtype) / n)


def _their_step(model: Any, ids: Tensor, dtype: torch.dtype) -> Callable[[], float]:
    inputs, targets = ids[:, :-1], ids[:, 1:].flatten()

    def loss() -> Tensor:
        with torch.autocast(ids.device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
            logits = model(input_ids=inputs).logits
        return nn.functional.cross_entropy(logits.float().flatten(0, 1), targets)

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
