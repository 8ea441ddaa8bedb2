"""The loss of a batch for every topology, in training and in validation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from terrarium.models.architecture.cross_entropy import cross_entropies, weighted_cross_entropy
from terrarium.models.architecture.heads import LanguageHead
from terrarium.models.architecture.trace import Trace
from terrarium.models.architecture.transformer import AnyModel
from terrarium.models.data.batch import Batch
from terrarium.models.data.batches import Batches
from terrarium.models.design.operations import SPARSE_BELOW
from terrarium.models.tasks.forward import batch_states, task_logits, task_nll
from terrarium.models.tasks.pronouns.pointing import pointing_nll


def weighted_nll(
    model: AnyModel, batch: Batch, dtype: torch.dtype = torch.float32, trace: Trace | None = None
) -> Tensor:
    """Compute the sum of weight × negative log-likelihood of a batch, in nats: a float32 scalar with a gradient.

    Matrices are multiplied in `dtype`; the softmax is float32. If few targets have a weight, only those go through the
    last feed-forward and the head.
    """
    head = model.head
    if batch.task or batch.candidates is not None or not isinstance(head, LanguageHead):
        nll, weights = _nll_of_choices(model, batch, dtype, trace)
        return (nll * weights).sum()
    return weighted_cross_entropy(*_head_inputs(model, head, batch, dtype, trace))


def _nll_of_choices(model: AnyModel, batch: Batch, dtype: torch.dtype, trace: Trace | None) -> tuple[Tensor, Tensor]:
    """Return the negative log-likelihood and the weight (N) of each target: a label, or a candidate in the text."""
    with torch.autocast(model.embedding.weight.device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
        if batch.task:
            return task_nll(task_logits(model, batch, trace), batch)
        if batch.candidates is not None:
            return pointing_nll(batch_states(model, batch, trace), batch)
        states, targets, weights = _states(model, batch, trace)
        return F.cross_entropy(model.logits(states).float(), targets, reduction="none"), weights


def _head_inputs(
    model: AnyModel, head: LanguageHead, batch: Batch, dtype: torch.dtype, trace: Trace | None
) -> tuple[Tensor, Tensor, Tensor | None, Tensor, Tensor, torch.dtype]:
    """Return the arguments of `weighted_cross_entropy`."""
    with torch.autocast(model.embedding.weight.device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
        states, targets, weights = _states(model, batch, trace)
        states = head.features(states)
    return states, head.table(model.embedding.weight), head.bias, targets, weights, dtype


def _states(model: AnyModel, batch: Batch, trace: Trace | None) -> tuple[Tensor, Tensor, Tensor]:
    """Return final states (N, C), targets and weights (N). Targets without weight may be left out."""
    device = model.embedding.weight.device
    weights, targets = batch.weights.flatten(), batch.targets.flatten()  # (B·T)
    counting = None
    if is_sparse(batch):
        counting = batch.counted  # (N)
        weights, targets = weights[counting], targets[counting]
    states = batch_states(model, batch, trace, counting)
    return states.flatten(0, -2), targets.to(device), weights.to(device)


def is_sparse(batch: Batch) -> bool:
    """Whether so few targets have a weight that the others are left out."""
    return int(batch.weights.count_nonzero()) < SPARSE_BELOW * batch.weights.numel()


def validation_slice(batches: Batches, n: int) -> list[Batch]:
    """Return at most `n` batches, always the same, evenly spread over the split, because it may be sorted."""
    n = min(n, batches.n_batches)
    return [batches.batch(i * batches.n_batches // n) for i in range(n)]


@dataclass(frozen=True)
class Estimate:
    """A loss (nats per unit of weight) and its standard error, which assumes independent targets."""

    loss: float
    error: float


def validation_sums(model: AnyModel, batch: Batch) -> tuple[float, ...]:
    """Compute the sums over the targets of a validation batch from which `validate` makes its estimate.

    In float32 and eval mode, regardless of the training precision. The model's mode is unchanged.
    """
    was_training = model.training
    if was_training:
        model.eval()
    with torch.no_grad():
        head = model.head
        if batch.task or batch.candidates is not None or not isinstance(head, LanguageHead):
            nll, weights = _nll_of_choices(model, batch, torch.float32, None)
        else:
            states, table, bias, targets, weights, dtype = _head_inputs(model, head, batch, torch.float32, None)
            nll = cross_entropies(states, table, bias, targets, dtype)
        weighted = nll * weights
        products = weighted, weighted.square(), weighted * weights, weights.square()
        sums = tuple(float(product.sum()) for product in products)
    if was_training:
        model.train()
    return (*sums, float(batch.weights.sum()))


def validate(sums: Iterable[Sequence[float]]) -> Iterator[Estimate]:
    """Yield running estimates of the loss from the `validation_sums` of batches; the last one is the result."""
    total = weight = squares = mixed = weight_squares = 0.0
    for more in sums:
        total, squares, mixed = total + more[0], squares + more[1], mixed + more[2]
        weight_squares, weight = weight_squares + more[3], weight + more[4]
        loss = total / max(weight, 1e-9)
        spread = squares - 2 * loss * mixed + loss * loss * weight_squares  # of the targets around the mean
        yield Estimate(loss, max(spread, 0.0) ** 0.5 / max(weight, 1e-9))
