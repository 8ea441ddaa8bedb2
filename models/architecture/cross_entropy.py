"""The cross-entropy of a language head, computed block by block, so the logits of all targets never exist together.

Letters in shape comments: N targets, C d_model, V vocab_size, R the targets of one block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from terrarium.models.settings.run_spec import GPU_LOSS_ROWS, LOSS_ROWS


@torch.no_grad()
def cross_entropies(states: Tensor, table: Tensor, bias: Tensor | None, targets: Tensor, dtype: torch.dtype) -> Tensor:
    """Compute the negative log-likelihood of each target in nats, (N) float32, without gradients.

    For the arguments see `weighted_cross_entropy`.
    """
    found = [
        (torch.logsumexp(logits, dim=1) - logits.gather(1, targets[rows, None])[:, 0])
        for rows, logits in _blocks(states.to(dtype), table.to(dtype), bias)
    ]
    return torch.cat(found) if found else states.new_zeros(0, dtype=torch.float32)


def weighted_cross_entropy(
    states: Tensor, table: Tensor, bias: Tensor | None, targets: Tensor, weights: Tensor, dtype: torch.dtype
) -> Tensor:
    """Compute the sum of weight × negative log-likelihood in nats, a float32 scalar with a gradient.

    The gradients are computed along with the loss, block by block, so only the logits (R, V) of one block are in memory
    at a time, as in Liger Kernel (arXiv:2410.10989), section 3.2. It cannot be differentiated twice.

    Args:
        states: (N, C), the input of the head's matrix `table` (V, C); bias: (V) or None.
        targets, weights: (N) long and float32; without gradients.
        dtype: the precision of the matrix products; the softmax is float32.
    """
    if not torch.is_grad_enabled():
        return (cross_entropies(states, table, bias, targets, dtype) * weights).sum()
    apply: Callable[..., Tensor] = _WeightedCrossEntropy.apply
    return apply(states, table, bias, targets, weights, dtype)


class _WeightedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        states: Tensor,
        table: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        weights: Tensor,
        dtype: torch.dtype,
    ) -> Tensor:
        for_states, for_table, for_bias = (
            torch.zeros_like(tensor) if needed and tensor is not None else None
            for tensor, needed in zip((states, table, bias), ctx.needs_input_grad[:3], strict=True)
        )
        total = states.new_zeros((), dtype=torch.float32)
        short_states, short_table = states.to(dtype), table.to(dtype)
        for rows, logits in _blocks(short_states, short_table, bias):
            wanted, weight = targets[rows, None], weights[rows, None]  # (R, 1)
            of_wanted, highest = logits.gather(1, wanted), logits.amax(1, keepdim=True)
            exponentials = logits.sub_(highest).exp_()
            sums = exponentials.sum(1, keepdim=True)
            total += ((sums.log() + highest - of_wanted) * weight).sum()
            # The gradient with respect to the logits, (R, V): weight × (probabilities − 1 at the target).
            gradient = exponentials.mul_(weight / sums).scatter_add_(1, wanted, -weight)
            if for_bias is not None:
                for_bias += gradient.sum(0)
            gradient = gradient.to(dtype)
            if for_states is not None:
                for_states[rows] = gradient @ short_table
            if for_table is not None:
                _add_product(for_table, gradient.t(), short_states[rows])
        ctx.save_for_backward(*(each for each in (for_states, for_table, for_bias) if each is not None))
        ctx.are_given = [each is not None for each in (for_states, for_table, for_bias)]
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        saved = iter(ctx.saved_tensors)
        # In place: a second call with the same graph, which would scale twice, is refused by torch.
        return (*(next(saved).mul_(gradient) if is_given else None for is_given in ctx.are_given), None, None, None)


def _blocks(states: Tensor, table: Tensor, bias: Tensor | None) -> Iterator[tuple[slice, Tensor]]:
    """Yield slices of the targets with their logits (R, V) in float32, in one reused buffer that may be modified."""
    size = LOSS_ROWS if states.device.type == "cpu" else GPU_LOSS_ROWS
    buffer = states.new_empty(min(size, len(states)), len(table), dtype=torch.float32)
    for start in range(0, len(states), size):
        rows = slice(start, start + size)
        some = states[rows]
        logits = buffer[: len(some)]
        if some.dtype == torch.float32:
            torch.mm(some, table.t(), out=logits)
        else:
            logits.copy_(some @ table.t())
        if bias is not None:
            logits += bias
        yield rows, logits


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """total += left right, in the precision of `total`."""
    if total.dtype == left.dtype:
        torch.addmm(total, left, right, out=total)
    else:
        total += left @ right
