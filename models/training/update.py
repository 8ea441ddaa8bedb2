"""One update of the weights: gradients of its micro-batches, clipped, and given to the optimizers."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from functools import lru_cache

import torch

from models.architecture.experts import balance_loss
from models.architecture.trace import Trace
from models.cost.operations import TRAINING_FACTOR, operations
from models.data.batch import Batch
from models.device import seed_global
from models.events import MicroStep
from models.settings.model_config import ModelConfig
from models.settings.run_spec import TrainConfig
from models.training.objective import weighted_nll
from models.training.parallel.team import Order
from models.training.setup import Parts
from models.training.update_ratios import UpdateRatios


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
    with parts.team.together(Order.GRADIENTS, step):
        return (yield from _compute_gradients(parts, config, step))


def _compute_gradients(parts: Parts, config: TrainConfig, step: int) -> Generator[MicroStep, None, Gradients]:
    team, layout = parts.team, parts.layout
    batches = [parts.train_batches.batch(step, micro_step) for micro_step in range(config.grad_accum_steps)]
    shares = [team.share(batch) for batch in batches]
    weight = team.sums([sum(float(share.weights.sum()) for share in shares)])[0] or 1.0
    balance = parts.model.config.router_balance if parts.model.config.n_expert else 0.0
    losses = []
    for micro_step, share in enumerate(shares):
        if micro_step:
            yield MicroStep(step=step + 1, micro_step=micro_step)
        parts.model.train()
        seed_global(_micro_step_seed(config.seed, step, micro_step, team.rank), parts.device.device)
        trace = Trace(wanted=frozenset({"router"})) if balance else None
        with layout.micro_step(is_last=micro_step == len(shares) - 1):
            loss = layout.run(weighted_nll, share, parts.dtype, trace) / weight
            imbalance = 0.0 if trace is None else balance / len(shares) * balance_loss(trace, team.add_up)
            layout.backward(loss if trace is None else loss + imbalance)
        losses.append(loss.detach())
    gradients = [p.grad for p in parts.parameters if p.grad is not None]
    loss_here, norm = torch.stack((torch.stack(losses).sum(), layout.norm(gradients))).tolist()  # the one wait
    return Gradients(
        loss=team.sums([loss_here])[0],
        norm=norm,
        n_tokens=sum(batch.count_tokens(padded=parts.padded) for batch in batches),
        flops=sum(_flops(parts.model.config, batch) for batch in batches),
    )


def apply_gradients(
    parts: Parts, config: TrainConfig, norm: float, lr_multiple: float, *, is_looked_at: bool
) -> dict[str, float] | None:
    """Clip gradients of the length `norm`, let the optimizers update the weights at `lr_multiple` times their base
    learning rates, and clear; how much each layer changed, where that `is_looked_at`.
    """
    with parts.team.together(Order.UPDATE, norm, lr_multiple, is_looked_at):
        before = UpdateRatios(parts.layout) if is_looked_at else None
        if 0 < config.grad_clip < norm:
            torch._foreach_mul_([p.grad for p in parts.parameters if p.grad is not None], config.grad_clip / norm)
        for group in parts.groups:
            group["lr"] = group["initial_lr"] * lr_multiple
        for optimizer in parts.optimizers:
            optimizer.step()
        drop_gradients(parts)
        return None if before is None else before.ratios()


def drop_gradients(parts: Parts) -> None:
    for optimizer in parts.optimizers:
        optimizer.zero_grad(set_to_none=True)


def _micro_step_seed(seed: int, step: int, micro_step: int, rank: int) -> int:
    """One number for torch's global generator, which dropout draws from, so that nothing before it matters."""
    return ((seed * 1_000_003 + step) * 65_537 + micro_step + rank * 0x9E3779B97F4A7) % 2**63


def _flops(config: ModelConfig, batch: Batch) -> int:
    n, length = batch.inputs.shape
    return n * _flops_of_text(config, length, None if batch.source is None else batch.source.shape[1])


@lru_cache(maxsize=1024)
def _flops_of_text(config: ModelConfig, length: int, source_length: int | None) -> int:
    return TRAINING_FACTOR * sum(operations(config, length, source_length).values())
