"""Measures the actual memory of a training step: the peak of torch's own allocations."""

from __future__ import annotations

import os
from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd.profiler import profile

from terrarium.models.architecture.block import recompute_blocks
from terrarium.models.architecture.transformer import AnyModel, build_model
from terrarium.models.data.batch import Batch
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.training.objective import weighted_nll


class RandomTexts:
    """Random token ids of the shape that a design trains on: they cost as much as real text.

    batch_size texts of `length` tokens; for an encoder-decoder, after sources of `source_length` tokens.
    """

    def __init__(
        self, config: ModelConfig, batch_size: int, length: int, source_length: int, device: torch.device
    ) -> None:
        generator = torch.Generator().manual_seed(0)

        def draw(n: int, *shape: int) -> Tensor:
            return torch.randint(n, shape, generator=generator).to(device)

        is_sequence, shape = config.head == "sequence", (batch_size, length)
        self.batch = Batch(
            inputs=draw(config.vocab_size, *shape),
            targets=draw(max(1, config.n_output), *(shape[:1] if is_sequence else shape)),
            weights=torch.ones(shape[:1] if is_sequence else shape, device=device),
            source=draw(config.vocab_size, batch_size, source_length) if config.topology == "encoder-decoder" else None,
            task="classification" if is_sequence else "",
        )
        self.n_tokens = batch_size * (length + (0 if self.batch.source is None else source_length))

    def loss(self, model: AnyModel, dtype: torch.dtype = torch.float32) -> Tensor:
        """Compute the mean cross-entropy over all targets, in nats: a float32 scalar with a gradient. The softmax is
        float32.

        Raises:
            ValueError: if the model is an encoder without a head.
        """
        return weighted_nll(model, self.batch, dtype) / self.batch.weights.numel()


def peak_allocated(run: Callable[[], None], device: torch.device) -> int:
    """Return the most bytes that torch had allocated on `device` while `run` ran, above those allocated before.

    On the CPU this is the running sum of the profiler's memory events, which slows `run` down; on CUDA it is the
    allocator's own record.

    Raises:
        ValueError: on a device without such a record.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        run()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    if device.type != "cpu":
        raise ValueError(f"Peak memory cannot be measured on {device.type.upper()}: choose the CPU or CUDA.")
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # else the profiler logs to stderr
    with profile(profile_memory=True) as watched:
        run()
    assert watched.kineto_results is not None
    events = [event for event in watched.kineto_results.events() if event.name() == "[memory]"]
    now = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        peak = max(peak, now)
    return peak


def measured_activations(
    config: ModelConfig,
    batch_size: int,
    length: int,
    source_length: int | None = None,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    recomputes: bool = False,
) -> int:
    """Measure the counterpart of `models.design.activation_bytes`, with the same convention, on a new model.

    Forward, cross-entropy over all targets and backward of one step in train mode; every `.grad` exists before. Draws
    weights and dropout from torch's global generator.
    """
    device = torch.device(device)
    model = build_model(config).to(device).train()
    recompute_blocks(model, recomputes)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    texts = RandomTexts(config, batch_size, length, length if source_length is None else source_length, device)
    return peak_allocated(lambda: texts.loss(model, dtype).backward(), device)
