"""A dry run: three real training steps on random ids, to measure a design's speed and memory on this device."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch.optim import Optimizer

from terrarium.models.architecture.block import recompute_blocks
from terrarium.models.architecture.transformer import AnyModel, build_model
from terrarium.models.design import training_memory
from terrarium.models.design.fit import proposals
from terrarium.models.device import (
    DeviceChoice,
    choose_device,
    describe_out_of_memory,
    is_out_of_memory,
    pick_precision,
    synchronize,
)
from terrarium.models.events import Event, Phase, Progress
from terrarium.models.number_words import format_size
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import TrainConfig
from terrarium.models.training.estimates.measure import RandomTexts, peak_allocated
from terrarium.models.training.optim import make_optimizers
from terrarium.models.training.parallel.layout import total_norm

TIMED_STEPS = 3


@dataclass(frozen=True, kw_only=True)
class DryRun:
    """Time and memory of a few steps on random ids. A step is one update with all its micro-batches."""

    device: str
    precision: str
    batch_size: int
    length: int
    step_ms: tuple[float, ...]
    """Each step's time, in order; the first one is slower because of warm-up."""
    ms_per_step: float
    """The mean of the steps after the first."""
    tokens_per_s: float
    peak_bytes: int | None
    """The peak memory of torch in a step: weights, gradients, optimizer, activations. None if not measurable."""
    estimate: dict[str, int]
    """The estimate of models.design.memory for the same training, in bytes by purpose."""

    @property
    def estimated_bytes(self) -> int:
        """The estimate of `peak_bytes`: the allocations of torch, without fragmentation."""
        return sum(self.estimate.values()) - self.estimate["Allocator"]


def dry_run(
    config: ModelConfig, train: TrainConfig, device: DeviceChoice | str = "auto"
) -> Generator[Event, None, DryRun]:
    """Build the model and train it for three steps on *random ids* of the training's shape; one more measures memory.

    The CPU profiler slows a step down, so memory is measured in a separate step. Yields Phase and Progress; nothing is
    saved, and torch's random state is preserved at each event and at the end.

    Raises:
        ValueError: if the estimate exceeds the device's memory (before anything is allocated), if memory runs out
            nevertheless, or if the design has no head to train.
    """
    choice = choose_device(device) if isinstance(device, str) else device
    if config.head == "none":
        raise ValueError("This encoder has no head, so there is nothing to train: choose the head “language”.")
    dtype = pick_precision(train, config, choice.device)
    precision = str(dtype).removeprefix("torch.")
    estimate = training_memory(
        config,
        train.batch_size,
        config.context_length,
        train.optimizer,
        device=choice.device.type,
        precision=precision,
        recomputes=train.activation_checkpointing,
        accumulates=train.grad_accum_steps > 1,
        state_dtype=train.state_dtype,
    )
    _refuse_what_does_not_fit(config, train, choice, precision, sum(estimate.values()))
    yield Phase(name="Trying three steps on random ids")
    n_steps = TIMED_STEPS + (choice.device.type == "cpu")
    yield Progress(done=0, total=n_steps)
    steps = _Steps(config, train, choice.device, dtype)
    try:
        step_ms = []
        for i in range(TIMED_STEPS):
            step_ms.append(1000 * steps.timed())
            yield Progress(done=i + 1, total=n_steps)
        peak = steps.peak_bytes()
        n_tokens = steps.n_tokens
    finally:
        steps.free()
    yield Progress(done=n_steps, total=n_steps)
    warm = step_ms[1:]
    ms_per_step = sum(warm) / len(warm)
    return DryRun(
        device=choice.label,
        precision=precision,
        batch_size=train.batch_size,
        length=config.context_length,
        step_ms=tuple(step_ms),
        ms_per_step=ms_per_step,
        tokens_per_s=1000 * n_tokens / ms_per_step,
        peak_bytes=peak,
        estimate=estimate,
    )


def _refuse_what_does_not_fit(
    config: ModelConfig, train: TrainConfig, choice: DeviceChoice, precision: str, needed: int
) -> None:
    if choice.memory_bytes is None or needed <= choice.memory_bytes:
        return
    sentence = (
        f"Training this design needs about {format_size(needed)}, but the {choice.label} has "
        f"{format_size(choice.memory_bytes)}."
    )
    found = proposals(
        config,
        train.batch_size,
        train.optimizer,
        choice.memory_bytes,
        grad_accum_steps=train.grad_accum_steps,
        recomputes=train.activation_checkpointing,
        state_dtype=train.state_dtype,
        device=choice.device.type,
        precision=precision,
    )
    raise ValueError(f"{sentence} {found[0].sentence}" if found else f"{sentence} Use a smaller design.")


class _Steps:
    """A model, its optimizers and random texts, until `free`."""

    def __init__(self, config: ModelConfig, train: TrainConfig, device: torch.device, dtype: torch.dtype) -> None:
        self._train, self._device, self._dtype = train, device, dtype
        self._model: AnyModel | None = None
        self._optimizers: Sequence[Optimizer] = ()
        self._held_before = 0
        if device.type == "cuda":
            self._held_before = torch.cuda.memory_allocated(device)
            torch.cuda.reset_peak_memory_stats(device)
        with self._guarded(), device:
            self._model = build_model(config).train()
            recompute_blocks(self._model, train.activation_checkpointing)
            self._optimizers = make_optimizers(self._model, train)
        length = config.context_length
        self._texts = RandomTexts(config, train.batch_size, length, length, device)
        self.n_tokens = self._texts.n_tokens * train.grad_accum_steps

    def timed(self) -> float:
        """Take a step; returns its seconds."""
        start = time.perf_counter()
        self._step()
        synchronize(self._device)
        return time.perf_counter() - start

    def peak_bytes(self) -> int | None:
        """Return the peak memory of a step; on the CPU measured in one more step, under the profiler."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device) - self._held_before
        if self._device.type != "cpu":
            return None
        assert self._model is not None
        held = sum(tensor.nbytes for tensor in (*self._model.parameters(), *self._model.buffers()))
        for optimizer in self._optimizers:
            for state in optimizer.state.values():
                held += sum(value.nbytes for value in state.values() if isinstance(value, torch.Tensor))
        return held + peak_allocated(self._step, self._device)

    def free(self) -> None:
        """Free everything, including the memory of a GPU."""
        self._model, self._optimizers = None, ()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _step(self) -> None:
        """Make one update, as models.training.update does."""
        assert self._model is not None
        parameters = list(self._model.parameters())
        with self._guarded():
            for _ in range(self._train.grad_accum_steps):
                (self._texts.loss(self._model, self._dtype) / self._train.grad_accum_steps).backward()
            gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
            if self._train.grad_clip:
                torch._foreach_mul_(gradients, min(1.0, self._train.grad_clip / (float(total_norm(gradients)) + 1e-6)))
            for optimizer in self._optimizers:
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Preserve torch's random state; raise running out of memory as a ValueError with a message for the user."""
        devices = [self._device] if self._device.type == "cuda" else []
        try:
            with torch.random.fork_rng(devices):
                yield
        except (RuntimeError, MemoryError) as error:
            if is_out_of_memory(error):
                raise ValueError(describe_out_of_memory(self._device)) from error
            raise
