"""A matrix of a model times the states of a few tokens, on a CPU, as fast as it goes; the weights stay where they are.

For every token that is written, each matrix is multiplied by one vector. Each thread takes some strips of a large one,
whole rows of it, so that the bits of the result do not depend on their number; torch.mm may use several threads as
well, but its bits then do (see `Crew`). For the many tokens of a prompt, oneDNN is twice as fast as what torch chooses
for float32.

Nothing is copied or kept but views, so a model that is in training is read as it is at that moment.

Letters in shape comments: T tokens, K inputs, N outputs, P strips.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.inference.threads import Crew

Linear = Callable[[Tensor, Tensor, Tensor | None], Tensor]

_SMALL = 2**16
"""Numbers in a matrix up to which a plain call is faster than strips: those pay where memory is what one waits for."""
_N_STRIPS = 16
"""Always as many, whatever the threads, so that a matrix is cut, and rounded, in one way; 4 to 32 are as fast."""


class Product(Protocol):
    """What multiplies the states of tokens by one matrix."""

    def __call__(self, x: Tensor) -> Tensor:
        """x (T, K) -> (T, N), a tensor of its own."""

    def into(self, x: Tensor, out: Tensor) -> None:
        """Write the result into `out` (T, N)."""

    def add_to(self, sum: Tensor, x: Tensor) -> None:
        """Add the result to `sum` (T, N)."""


class Plain:
    """The product with float32 weights (N, K), and the bias (N) where there is one.

    Within `Crew.do`, one token's result is the same to the last bit by any number of threads.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, many: Linear, crew: Crew) -> None:
        self._weight, self._bias, self._many, self._crew = weight, bias, many, crew
        self._turned = weight.t()
        n_rows = weight.size(0) // _N_STRIPS
        self._strips: Tensor | None = None  # (P, N/P, K), without the last rows where P is no divisor
        if weight.numel() > _SMALL and weight.is_contiguous() and n_rows:
            self._strips = weight[: _N_STRIPS * n_rows].view(_N_STRIPS, n_rows, -1)
            self._rest = weight[_N_STRIPS * n_rows :].t()  # (K, fewer than P)

    def __call__(self, x: Tensor) -> Tensor:
        if len(x) > 1:
            return self._many(x, self._weight, self._bias)
        if self._strips is None:
            return torch.mm(x, self._turned) if self._bias is None else torch.addmm(self._bias, x, self._turned)
        # The vector as a row: with strips times a column, which means the same, MKL takes twice as long (measured), and
        # cuts strips where there are more threads than them.
        row, columns = x.expand(self._strips.size(0), 1, x.size(1)), self._strips.mT
        y = self._crew.share(lambda: torch.bmm(row, columns)).view(1, -1)
        if self._rest.size(1):
            y = torch.cat((y, torch.mm(x, self._rest)), dim=1)
        return y if self._bias is None else y.add_(self._bias)

    def into(self, x: Tensor, out: Tensor) -> None:
        if self._strips is not None or len(x) > 1:
            out.copy_(self(x))
        elif self._bias is None:
            torch.mm(x, self._turned, out=out)
        else:
            torch.addmm(self._bias, x, self._turned, out=out)

    def add_to(self, sum: Tensor, x: Tensor) -> None:
        if self._strips is not None or len(x) > 1:
            sum.add_(self(x))
            return
        sum.addmm_(x, self._turned)
        if self._bias is not None:
            sum.add_(self._bias)


class ByModule:
    """The product as a module makes it, for layers whose weights are kept in another way (`models.inference.weights`).

    torch's products of int8, and oneDNN's of bfloat16, with one token are the same by any number of threads.
    """

    def __init__(self, module: nn.Module, crew: Crew) -> None:
        self._module, self._crew = module, crew

    def __call__(self, x: Tensor) -> Tensor:
        return self._crew.share(lambda: self._module(x)) if len(x) == 1 else self._module(x)  # type: ignore[no-any-return]

    def into(self, x: Tensor, out: Tensor) -> None:
        out.copy_(self(x))

    def add_to(self, sum: Tensor, x: Tensor) -> None:
        sum.add_(self(x))


def product(module: nn.Module, many: Linear, crew: Crew) -> Product:
    """What multiplies as `module` does; `many` is for several tokens at once (see `linear_for_many`)."""
    return Plain(module.weight, module.bias, many, crew) if type(module) is nn.Linear else ByModule(module, crew)


@functools.cache
def linear_for_many() -> Linear:
    """The fastest linear layer for several tokens: oneDNN's where torch has it and it says the same, else torch's own.

    It is not part of torch's public interface, so it is tried out on numbers before it is trusted.
    """
    try:
        with torch.inference_mode():
            x, weight, bias = torch.linspace(-1, 1, 12).view(3, 4), torch.linspace(-1, 2, 20).view(5, 4), torch.ones(5)
            if torch.allclose(_one_dnn_linear(x, weight, bias), F.linear(x, weight, bias), atol=1e-5):
                return _one_dnn_linear
    except (AttributeError, RuntimeError, TypeError):  # no such operation, without oneDNN, or another signature
        pass
    return F.linear


def _one_dnn_linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")  # type: ignore[no-any-return]
