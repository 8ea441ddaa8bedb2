"""How a model lies in the processes that train it: here whole, in one. Several: `models.training.parallel.sharding`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Concatenate, ParamSpec, TypeVar

import torch
from torch import Tensor

from models.architecture.transformer import AnyModel

P = ParamSpec("P")
R = TypeVar("R")


class Layout:
    """The model in this process alone. `model` holds this process's part of the weights."""

    def __init__(self, model: AnyModel) -> None:
        self.model = model

    def run(self, compute: Callable[Concatenate[AnyModel, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """`compute(model, …)`, whose backward pass then fits the layout."""
        return compute(self.model, *args, **kwargs)

    def look(self, compute: Callable[Concatenate[AnyModel, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """`compute(model, …)`, which makes no gradient."""
        return compute(self.model, *args, **kwargs)

    def micro_step(self, *, is_last: bool) -> contextlib.AbstractContextManager[None]:
        """Around the forward and backward pass of a micro-batch, of which an update may have several."""
        return contextlib.nullcontext()

    def backward(self, loss: Tensor) -> None:
        """Add the gradient of the sum of all processes' losses to the parameters' `.grad`."""
        loss.backward()

    def local(self, tensor: Tensor) -> Tensor:
        """This process's part of a weight or gradient, in the same memory."""
        return tensor

    def total(self, tensor: Tensor) -> Tensor:
        """What was added up over `local` parts, added up over those of all processes."""
        return tensor

    def norm(self, tensors: Sequence[Tensor]) -> Tensor:
        """The length of all numbers of weights or gradients together, a scalar."""
        return total_norm(tensors)

    def whole(self, tensor: Tensor) -> Tensor:
        """A weight or a tensor of an optimizer's state as it is saved: whole, on the CPU."""
        return tensor.detach().cpu().contiguous()

    def shown(self) -> AnyModel:
        """A whole model with the weights of now; only the main process may use it, until the next update."""
        return self.model


def total_norm(tensors: Sequence[Tensor]) -> Tensor:
    """The length of all numbers together, a scalar; not finite where one of them is not."""
    norm: Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(list(tensors))))
    return norm
