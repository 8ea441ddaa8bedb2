"""One update of the weights: gradients of its micro-batches, clipped, and given to the optimizers."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from models.config import ModelConfig
from models.cost.operations import TRAINING_FACTOR, operations
from models.data.batch import Batch
from models.device import seed_global
from models.events import MicroStep
from models.experts import balance_loss
from models.trace import Trace
from models.training.objective import weighted_nll
from models.training.setup import Parts
from models.training.spec import TrainConfig


@dataclass(frozen=True, kw_only=True)
class Gradients:
    """About those in the parameters' `.grad`: the loss (nats per unit of weight), their norm before clipping.

    `flops` are the operations that they took, estimated.
    """

    loss: float
    norm: float
    n_tokens: int
    flops: int


def compute_gradients(parts: Parts, config: TrainConfig, step: int) -> Generator[MicroStep, None, Gradients]:
    """Forward and backward of all micro-batches of the update after `step` updates; MicroStep between two of them.

    The loss is the weighted mean over all of them together, and the gradient is that of this mean; in a mixture of
    experts it is that of the mean and of the router's imbalance, which the loss does not show.
    """
    batches = [parts.train_batches.batch(step, micro_step) for micro_step in range(config.grad_accum_steps)]
    weight = sum(float(batch.weights.sum()) for batch in batches) or 1.0
    balance = parts.model.config.router_balance if parts.model.config.n_expert else 0.0
    losses = []
    for micro_step, batch in enumerate(batches):
        if micro_step:
            yield MicroStep(step=step + 1, micro_step=micro_step)
        parts.model.train()
        seed_global(_micro_step_seed(config.seed, step, micro_step), parts.device.device)
        trace = Trace(wanted=frozenset({"router"})) if balance else None
        loss = weighted_nll(parts.model, batch, parts.dtype, trace) / weight
        (loss if trace is None else loss + balance / len(batches) * balance_loss(trace)).backward()
        losses.append(loss.detach())
    gradients = [p.grad for p in parts.parameters if p.grad is not None]
    loss_value, norm = torch.stack((torch.stack(losses).sum(), total_norm(gradients))).tolist()  # the one wait
    return Gradients(
        loss=loss_value,
        norm=norm,
        n_tokens=sum(_count_tokens(batch, parts.padded) for batch in batches),
        flops=sum(_flops(parts.model.config, batch) for batch in batches),
    )


def apply_gradients(parts: Parts, config: TrainConfig, gradients: Gradients, lr_multiple: float) -> None:
    """Clip, let the optimizers update the weights at `lr_multiple` times their base learning rates, and clear."""
    if 0 < config.grad_clip < gradients.norm:
        torch._foreach_mul_([p.grad for p in parts.parameters if p.grad is not None], config.grad_clip / gradients.norm)
    for group in parts.groups:
        group["lr"] = group["initial_lr"] * lr_multiple
    for optimizer in parts.optimizers:
        optimizer.step()
    drop_gradients(parts)


def drop_gradients(parts: Parts) -> None:
    for optimizer in parts.optimizers:
        optimizer.zero_grad(set_to_none=True)


def total_norm(tensors: Sequence[Tensor]) -> Tensor:
    """The length of all numbers together, a scalar; not finite where one of them is not."""
    norm: Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(list(tensors))))
    return norm


def _micro_step_seed(seed: int, step: int, micro_step: int) -> int:
    """One number for torch's global generator, which dropout draws from, so that nothing before it matters."""
    return ((seed * 1_000_003 + step) * 65_537 + micro_step) % 2**63


def _flops(config: ModelConfig, batch: Batch) -> int:
    n, length = batch.inputs.shape
    return n * _flops_of_text(config, length, None if batch.source is None else batch.source.shape[1])


@lru_cache(maxsize=1024)
def _flops_of_text(config: ModelConfig, length: int, source_length: int | None) -> int:
    return TRAINING_FACTOR * sum(operations(config, length, source_length).values())


def _count_tokens(batch: Batch, padded: bool) -> int:
    """Tokens read, without the padding (where nobody counted: id 0) behind examples."""
    if batch.n_tokens is not None:
        return batch.n_tokens
    return int(batch.inputs.count_nonzero()) if padded else batch.inputs.numel()
