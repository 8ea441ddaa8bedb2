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
from models.training.parallel.process_group import Command
from models.training.setup import TrainingContext
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


def compute_gradients(
    context: TrainingContext, config: TrainConfig, step: int
) -> Generator[MicroStep, None, Gradients]:
    """Forward and backward of all micro-batches of the update after `step` updates; MicroStep between two of them.

    The loss is the weighted mean over all of them together, and the gradient is that of this mean; in a mixture of
    experts it is that of the mean and of the router's imbalance, which the loss does not show.
    """
    with context.process_group.together(Command.GRADIENTS, step):
        return (yield from _compute_gradients(context, config, step))


def _compute_gradients(
    context: TrainingContext, config: TrainConfig, step: int
) -> Generator[MicroStep, None, Gradients]:
    process_group, layout = context.process_group, context.layout
    batches = [context.train_batches.batch(step, micro_step) for micro_step in range(config.grad_accum_steps)]
    shares = [process_group.shard(batch) for batch in batches]
    weight = process_group.all_reduce_numbers([sum(float(share.weights.sum()) for share in shares)])[0] or 1.0
    balance = context.model.config.router_balance if context.model.config.n_expert else 0.0
    losses = []
    for micro_step, share in enumerate(shares):
        if micro_step:
            yield MicroStep(step=step + 1, micro_step=micro_step)
        context.model.train()
        seed_global(_micro_step_seed(config.seed, step, micro_step, process_group.rank), context.device.device)
        trace = Trace(wanted=frozenset({"router"})) if balance else None
        with layout.micro_step(is_last=micro_step == len(shares) - 1):
            loss = layout.run(weighted_nll, share, context.dtype, trace) / weight
            imbalance = 0.0 if trace is None else balance / len(shares) * balance_loss(trace, process_group.all_reduce)
            layout.backward(loss if trace is None else loss + imbalance)
        losses.append(loss.detach())
    gradients = [p.grad for p in context.parameters if p.grad is not None]
    loss_here, norm = torch.stack((torch.stack(losses).sum(), layout.norm(gradients))).tolist()  # the one wait
    return Gradients(
        loss=process_group.all_reduce_numbers([loss_here])[0],
        norm=norm,
        n_tokens=sum(batch.count_tokens(padded=context.padded) for batch in batches),
        flops=sum(_flops(context.model.config, batch) for batch in batches),
    )


def apply_gradients(
    context: TrainingContext, config: TrainConfig, norm: float, lr_multiple: float, *, is_looked_at: bool
) -> dict[str, float] | None:
    """Clip gradients of the length `norm`, let the optimizers update the weights at `lr_multiple` times their base
    learning rates, and clear; how much each layer changed, where that `is_looked_at`.
    """
    with context.process_group.together(Command.UPDATE, norm, lr_multiple, is_looked_at):
        before = UpdateRatios(context.layout) if is_looked_at else None
        if 0 < config.grad_clip < norm:
            torch._foreach_mul_([p.grad for p in context.parameters if p.grad is not None], config.grad_clip / norm)
        for group in context.groups:
            group["lr"] = group["initial_lr"] * lr_multiple
        for optimizer in context.optimizers:
            optimizer.step()
        drop_gradients(context)
        return None if before is None else before.ratios()


def drop_gradients(context: TrainingContext) -> None:
    for optimizer in context.optimizers:
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
