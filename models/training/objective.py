"""The loss of a batch for every topology, in training and in validation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from models.architecture.trace import Trace
from models.architecture.transformer import AnyModel
from models.data.batch import Batch
from models.data.batches import Batches
from models.pronouns.pointing import pointing_nll
from models.tasks.forward import batch_states, task_logits
from models.tasks.losses import task_nll

_SPARSE_BELOW = 0.6
"""Below this share of targets with a weight, selecting them costs less than computing all."""


def weighted_nll(
    model: AnyModel, batch: Batch, dtype: torch.dtype = torch.float32, trace: Trace | None = None
) -> Tensor:
    """Sum of weight × negative log-likelihood over the batch, in nats: a float32 scalar with a gradient.

    Matrices are multiplied in `dtype`; the softmax is float32. Where few targets have a weight, only theirs go through
    the last feed-forward and the head.
    """
    nll, weights = _nll(model, batch, dtype, trace)
    return (nll * weights).sum()


def _nll(model: AnyModel, batch: Batch, dtype: torch.dtype, trace: Trace | None) -> tuple[Tensor, Tensor]:
    """The negative log-likelihood of each target and its weight, both (N); targets without weight may be left out."""
    device = model.embedding.weight.device
    if batch.task:
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
            return task_nll(task_logits(model, batch, trace), batch)
    weights, targets = batch.weights.flatten(), batch.targets.flatten()  # (B·T)
    counting = None
    if is_sparse(batch):
        counting = batch.counted  # (N)
        weights, targets = weights[counting], targets[counting]
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
        if batch.candidates is not None:
            return pointing_nll(batch_states(model, batch, trace), batch)
        states = batch_states(model, batch, trace, counting)
        logits = model.logits(states if counting is not None else states.flatten(0, 1))
    nll = F.cross_entropy(logits.float(), targets.to(device), reduction="none")
    return nll, weights.to(device)


def is_sparse(batch: Batch) -> bool:
    """Whether so few targets count that the others are left out."""
    return int(batch.weights.count_nonzero()) < _SPARSE_BELOW * batch.weights.numel()


def validation_slice(batches: Batches, n: int) -> list[Batch]:
    """At most `n` batches, always the same, evenly spread over the split, since it may be sorted."""
    n = min(n, batches.n_batches)
    return [batches.batch(i * batches.n_batches // n) for i in range(n)]


@dataclass(frozen=True)
class Estimate:
    """A loss (nats per unit of weight) and its standard error, which assumes independent targets."""

    loss: float
    error: float


def validation_sums(model: AnyModel, batch: Batch) -> tuple[float, ...]:
    """Sums over the targets of a validation batch, from which `validate` computes its estimate.

    In float32 and eval mode, regardless of the training precision. Leaves the model's mode as it is.
    """
    was_training = model.training
    if was_training:
        model.eval()
    with torch.no_grad():
        nll, weights = _nll(model, batch, torch.float32, None)
        weighted = nll * weights
        products = weighted, weighted.square(), weighted * weights, weights.square()
        sums = tuple(float(product.sum()) for product in products)
    if was_training:
        model.train()
    return (*sums, float(batch.weights.sum()))


def validate(sums: Iterable[Sequence[float]]) -> Iterator[Estimate]:
    """Running estimates of the loss from the `validation_sums` of batches; the last one is the result."""
    total = weight = squares = mixed = weight_squares = 0.0
    for more in sums:
        total, squares, mixed = total + more[0], squares + more[1], mixed + more[2]
        weight_squares, weight = weight_squares + more[3], weight + more[4]
        loss = total / max(weight, 1e-9)
        spread = squares - 2 * loss * mixed + loss * loss * weight_squares  # of the targets around the mean
        yield Estimate(loss, max(spread, 0.0) ** 0.5 / max(weight, 1e-9))
