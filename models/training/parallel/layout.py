"""How a model is distributed over processes: here whole, in one. For several: `models.training.parallel.sharding`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Concatenate, ParamSpec, TypeVar

import torch
from torch import Tensor

from terrarium.models.architecture.transformer import AnyModel

P = ParamSpec("P")
R = TypeVar("R")


class Layout:
    """The model in a single process. `model` holds this process's part of the weights."""

    def __init__(self, model: AnyModel) -> None:
        self.model = model

    def run(self, compute: Callable[Concatenate[AnyModel, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call `compute(model, …)` as a forward pass, for `backward`."""
        return compute(self.model, *args, **kwargs)

    def evaluate(self, compute: Callable[Concatenate[AnyModel, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call `compute(model, …)` without gradients."""
        return compute(self.model, *args, **kwargs)

    def micro_step(self, *, is_last: bool) -> contextlib.AbstractContextManager[None]:
        """Context for the forward and backward pass of one micro-batch of an update."""
        return contextlib.nullcontext()

    def backward(self, loss: Tensor) -> None:
        """Add the gradient of the loss, summed over all processes, to the parameters' `.grad`."""
        loss.backward()

    def local(self, tensor: Tensor) -> Tensor:
        """Return this process's shard of a weight or gradient, as a view."""
        return tensor

    def total(self, tensor: Tensor) -> Tensor:
        """Sum a value over all processes that was summed over `local` shards."""
        return tensor

    def norm(self, tensors: Sequence[Tensor]) -> Tensor:
        """Return the global L2 norm of weights or gradients, a scalar."""
        return total_norm(tensors)

    def full_tensor(self, tensor: Tensor) -> Tensor:
        """Return a weight or optimizer-state tensor, gathered and on the CPU, for saving."""
        return tensor.detach().cpu().contiguous()

    def full_model(self) -> AnyModel:
        """Return the full model with the current weights; valid in the main process until the next update."""
        return self.model


def total_norm(tensors: Sequence[Tensor]) -> Tensor:
    """Return the global L2 norm of all tensors, a scalar; not finite if any number is not."""
    norm: Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(list(tensors))))
    return norm
