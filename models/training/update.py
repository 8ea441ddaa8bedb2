"""One optimizer step: gradients accumulated over micro-batches, clipped, and applied."""

from __future__ import annotations

import re
from collections.abc import Generator
from dataclasses import dataclass
from functools import lru_cache

import torch

from terrarium.models.architecture.experts import balance_loss
from terrarium.models.architecture.trace import Trace
from terrarium.models.data.batch import Batch
from terrarium.models.design.operations import operations, operations_of_targets
from terrarium.models.device import seed_global
from terrarium.models.events import MicroStep
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import TrainConfig
from terrarium.models.training.objective import is_sparse, weighted_nll
from terrarium.models.training.parallel.layout import Layout
from terrarium.models.training.parallel.process_group import Command
from terrarium.models.training.setup import TrainingContext


@dataclass(frozen=True, kw_only=True)
class Gradients:
    """The figures of the gradients in the parameters' `.grad`: the loss (nats per unit of weight) and the norm before
    clipping.

    `flops` is the estimated number of operations to compute them.
    """

    loss: float
    norm: float
    n_tokens: int
    flops: int


def compute_gradients(
    context: TrainingContext, config: TrainConfig, step: int
) -> Generator[MicroStep, None, Gradients]:
    """Compute the gradients of all micro-batches of the update after `step` updates; yields MicroStep in between.

    The loss is the weighted mean over all micro-batches, and the gradient is that of this mean. In a mixture of
    experts, the load-balancing loss of the router is added to the gradient, but not to the reported loss.
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
        if not context.model.training:  # setting it takes as long as a small layer
            context.model.train()
        seed_global(_micro_step_seed(config.seed, step, micro_step, process_group.rank), context.device.device)
        trace = Trace(wanted=frozenset({"router"})) if balance else None
        with layout.micro_step(is_last=micro_step == len(shares) - 1):
            loss = layout.run(weighted_nll, share, context.dtype, trace) / weight
            imbalance = 0.0 if trace is None else balance / len(shares) * balance_loss(trace, process_group.all_reduce)
            layout.backward(loss if trace is None else loss + imbalance)
        losses.append(loss.detach())
    gradients = [p.grad for p in context.parameters if p.grad is not None]
    loss_here, norm = torch.stack((torch.stack(losses).sum(), layout.norm(gradients))).tolist()  # the only device sync
    return Gradients(
        loss=process_group.all_reduce_numbers([loss_here])[0],
        norm=norm,
        n_tokens=sum(batch.count_tokens(padded=context.padded) for batch in batches),
        flops=round(context.training_factor * sum(batch_flops(context.model.config, batch) for batch in batches)),
    )


def apply_gradients(
    context: TrainingContext, config: TrainConfig, norm: float, lr_multiple: float, *, measure_layers: bool
) -> dict[str, float] | None:
    """Clip the gradients, step the optimizers, and clear the gradients.

    Args:
        norm: the norm of the gradients.
        lr_multiple: the factor of the base learning rates.

    Returns the update-to-weight ratio of each layer if `measure_layers`.
    """
    with context.process_group.together(Command.UPDATE, norm, lr_multiple, measure_layers):
        before = UpdateRatios(context.layout) if measure_layers else None
        if 0 < config.grad_clip < norm:
            torch._foreach_mul_([p.grad for p in context.parameters if p.grad is not None], config.grad_clip / norm)
        for group in context.groups:
            group["lr"] = group["initial_lr"] * lr_multiple
        for optimizer in context.optimizers:
            optimizer.step()
        zero_gradients(context)
        return None if before is None else before.ratios()


def gradient_norm(context: TrainingContext) -> float:
    """Return the norm of the gradients in the parameters' `.grad`; 0 if there are none."""
    gradients = [p.grad for p in context.parameters if p.grad is not None]
    return float(context.layout.norm(gradients)) if gradients else 0.0


def zero_gradients(context: TrainingContext) -> None:
    for optimizer in context.optimizers:
        optimizer.zero_grad(set_to_none=True)


def _micro_step_seed(seed: int, step: int, micro_step: int, rank: int) -> int:
    """Return the seed for torch's global generator, which dropout uses. It depends on these numbers alone."""
    return ((seed * 1_000_003 + step) * 65_537 + micro_step + rank * 0x9E3779B97F4A7) % 2**63


def batch_flops(config: ModelConfig, batch: Batch) -> int:
    """Estimate the operations of a forward pass as `models.training.objective` does it."""
    n, length = batch.inputs.shape
    whole = n * _flops_of_text(config, length, None if batch.source is None else batch.source.shape[1])
    if batch.task or batch.candidates is not None or not is_sparse(batch):
        return whole
    return whole - (batch.weights.numel() - len(batch.counted)) * _flops_of_target(config)


@lru_cache(maxsize=1024)
def _flops_of_text(config: ModelConfig, length: int, source_length: int | None) -> int:
    return sum(operations(config, length, source_length).values())


@lru_cache(maxsize=64)
def _flops_of_target(config: ModelConfig) -> int:
    return operations_of_targets(config)


_LAYER = re.compile(r"(?:\w+\.)?blocks\.\d+|head\b")


def layer_of(parameter: str) -> str:
    """Return the layer of a parameter by its name: "blocks.3", "encoder.blocks.0", "embedding", "norm" …"""
    found = _LAYER.match(parameter)
    return found[0] if found else parameter.rsplit(".", 1)[0]


class UpdateRatios:
    """The L2 norm of an update divided by that of the weights before it, layer by layer.

    Create it right before the update and call `ratios` once, right after. Keeps a copy of all weights in between.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        named = [(name, parameter) for name, parameter in layout.model.named_parameters() if parameter.requires_grad]
        self._layers = [layer_of(name) for name, _ in named]
        self._now = [layout.local(parameter.detach()) for _, parameter in named]
        self._before = [tensor.clone() for tensor in self._now]

    def ratios(self) -> dict[str, float]:
        """Return the ratios by layer, in the order of the model; NaN if a layer's weights are all zero."""
        lengths = torch.stack(torch._foreach_norm(self._before))
        torch._foreach_sub_(
            self._before, self._now
        )  # in place: a second copy would be the peak of a large model's step
        changes = torch.stack(torch._foreach_norm(self._before))
        squares = self._layout.total(
            torch.stack((changes.float() ** 2, lengths.float() ** 2))
        ).tolist()  # the only device sync
        sums: dict[str, list[float]] = {}
        for layer, change, length in zip(self._layers, *squares, strict=True):
            total = sums.setdefault(layer, [0.0, 0.0])
            total[0] += change
            total[1] += length
        return {layer: (change / length) ** 0.5 if length else float("nan") for layer, (change, length) in sums.items()}
