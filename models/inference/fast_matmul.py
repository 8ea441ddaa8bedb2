"""Fast products of a model's matrices with the states of a few tokens on a CPU, without copying the weights.

For each generated token, every matrix is multiplied by one vector; for the check of a few drafted tokens, by a few. A
large matrix is split into strips of whole rows for the threads, so that the result is bit-identical for any number of
threads; with torch.mm it is not (see `StepThreads`). For the many tokens of a prompt, oneDNN is twice as fast as
torch's default for float32.

Letters in shape comments: T tokens, K inputs, N outputs, P strips.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from terrarium.models.inference.threads import StepThreads
from terrarium.models.inference.weights import HalvedInt8Linear, Int4Linear, Int8Linear, Kernel, join_layers

Linear = Callable[[Tensor, Tensor, Tensor | None], Tensor]

FEW = 16
"""Maximum number of tokens for which a joint pass is bit-identical for any number of threads, like a pass over one."""
_SMALL = 2**16
"""Number of elements below which a plain call is faster than strips, which pay off if memory bandwidth is the limit."""
_SHORT = 128
"""Above FEW and up to this many tokens, MKL with the weights first is faster, by 10 to 40 % (measured)."""
_LITTLE = 2**24
"""Number of multiplications below which oneDNN's setup time matters: it can double the total (measured)."""
_N_STRIPS = 16
"""Constant for any number of threads, so that rounding is always the same; 4 to 32 are equally fast."""


_ROUNDS, _CLEARLY = 3, 0.8
"""Number of timed rounds, and the fraction of the other's time below which a product counts as faster."""


class Products(NamedTuple):
    """The implementations of a model's matrix products.

    many: for several tokens (see `batch_linear`). in_pairs: whether to multiply a single token as a pair of equal
    columns, which is faster on some computers if the weights come from memory (see `pairs_are_faster`).
    """

    many: Linear
    in_pairs: bool = False


class MatMul(Protocol):
    """A product of token states with one matrix."""

    def __call__(self, x: Tensor) -> Tensor:
        """Map x (T, K) to (T, N), a new tensor."""

    def into(self, x: Tensor, out: Tensor) -> None:
        """Write the result into `out` (T, N)."""

    def add_to(self, sum: Tensor, x: Tensor) -> None:
        """Add the result to `sum` (T, N)."""


class StripedMatMul:
    """The product with float32 weights (N, K) and an optional bias (N).

    Within `StepThreads.do`, the result of one token, and of up to FEW, is bit-identical for any number of threads.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, products: Products, threads: StepThreads) -> None:
        self._weight, self._bias, self._products, self._threads = weight, bias, products, threads
        self._weight_t = weight.t()
        n_rows = weight.size(0) // _N_STRIPS
        self._strips: Tensor | None = None  # (P, N/P, K), without the remaining rows if P does not divide N
        if weight.numel() > _SMALL and weight.is_contiguous() and n_rows:
            self._strips = weight[: _N_STRIPS * n_rows].view(_N_STRIPS, n_rows, -1)
            self._rest = weight[_N_STRIPS * n_rows :].t()  # (K, fewer than P)

    def __call__(self, x: Tensor) -> Tensor:
        n = x.size(0)
        if n > FEW or (n > 1 and self._strips is None):
            return self._products.many(x, self._weight, self._bias)
        if self._strips is None:
            return torch.mm(x, self._weight_t) if self._bias is None else torch.addmm(self._bias, x, self._weight_t)
        # Row times strips: strips times a column gives the same, but takes MKL twice as long (measured), and MKL splits
        # strips if there are more threads than strips.
        strips = self._strips
        if n == 1 and self._products.in_pairs:
            y = self._threads.share(lambda: _in_pairs(strips, x))  # (P, N/P)
        else:
            y = self._threads.share(lambda: _in_rows(strips, x))  # (P, T, N/P)
        y = y.reshape(1, -1) if n == 1 else y.transpose(0, 1).reshape(n, -1)
        if self._rest.size(1):
            y = torch.cat((y, torch.mm(x, self._rest)), dim=1)
        return y if self._bias is None else y.add_(self._bias)

    def into(self, x: Tensor, out: Tensor) -> None:
        if self._strips is not None or x.size(0) > 1:
            out.copy_(self(x))
        elif self._bias is None:
            torch.mm(x, self._weight_t, out=out)
        else:
            torch.addmm(self._bias, x, self._weight_t, out=out)

    def add_to(self, sum: Tensor, x: Tensor) -> None:
        if self._strips is not None or x.size(0) > 1:
            sum.add_(self(x))
            return
        sum.addmm_(x, self._weight_t)
        if self._bias is not None:
            sum.add_(self._bias)


class ModuleMatMul:
    """The product computed by a module, for quantized layers (`models.inference.weights`).

    For up to FEW tokens, torch's int8 and int4 and oneDNN's bfloat16 products are bit-identical for any number of
    threads (seen with 1 to 3).
    """

    def __init__(self, module: nn.Module, threads: StepThreads) -> None:
        self._module, self._threads = module, threads

    def __call__(self, x: Tensor) -> Tensor:
        return self._threads.share(lambda: self._module(x)) if x.size(0) <= FEW else self._module(x)  # type: ignore[no-any-return]

    def into(self, x: Tensor, out: Tensor) -> None:
        out.copy_(self(x))

    def add_to(self, sum: Tensor, x: Tensor) -> None:
        sum.add_(self(x))


class TokenMatMul(ModuleMatMul):
    """A ModuleMatMul with a kernel for one token that bypasses the module."""

    def __init__(
        self, module: Int8Linear | HalvedInt8Linear | Int4Linear, kernel: Kernel, threads: StepThreads
    ) -> None:
        super().__init__(module, threads)
        self._kernel, self._bias = kernel, module.bias

    def __call__(self, x: Tensor) -> Tensor:
        if x.size(0) > 1:
            return super().__call__(x)
        y = self._token(x).float()
        return y if self._bias is None else y.add_(self._bias)

    def into(self, x: Tensor, out: Tensor) -> None:
        if x.size(0) > 1 or self._bias is not None:
            super().into(x, out)
        else:
            out.copy_(self._token(x))

    def add_to(self, sum: Tensor, x: Tensor) -> None:
        if x.size(0) > 1 or self._bias is not None:
            super().add_to(sum, x)
        else:
            sum.add_(self._token(x))

    def _token(self, x: Tensor) -> Tensor:
        return self._threads.share(lambda: self._kernel(x.bfloat16()))


def make_joint(modules: Sequence[nn.Module | None], threads: StepThreads) -> TokenMatMul | None:
    """Return the joint product of one token with several matrices, outputs concatenated; None if impossible."""
    joint = join_layers([module for module in modules if module is not None])
    kernel = None if joint is None else joint.token_kernel()
    return None if joint is None or kernel is None else TokenMatMul(joint, kernel, threads)


def make_matmul(module: nn.Module, products: Products, threads: StepThreads) -> MatMul:
    """Return the fast product equivalent to `module`."""
    if type(module) is nn.Linear:
        return StripedMatMul(module.weight, module.bias, products, threads)
    if isinstance(module, Int8Linear | HalvedInt8Linear | Int4Linear) and (kernel := module.token_kernel()) is not None:
        return TokenMatMul(module, kernel, threads)
    return ModuleMatMul(module, threads)


def _in_rows(strips: Tensor, x: Tensor) -> Tensor:
    """Multiply strips (P, N/P, K) with x (T, K); return (P, T, N/P)."""
    return torch.bmm(x.expand(strips.size(0), *x.shape), strips.mT)


def _in_pairs(strips: Tensor, x: Tensor) -> Tensor:
    """Multiply strips (P, N/P, K) with x (1, K), duplicated as two columns of a row-major matrix; return (P, N/P)."""
    return torch.bmm(strips, x.expand(2, -1).contiguous().t().expand(strips.size(0), -1, -1))[..., 0]


@functools.cache
def pairs_are_faster() -> bool:
    """Return whether MKL multiplies weights from memory faster with a pair of equal columns than with a row.

    On AMD processors it is 1.5 to 2 times as fast; on Intel processors it takes three times as long (measured). So it
    is timed once per process, in about a tenth of a second, since the bits of a reply depend on the choice.
    """
    strips, x = torch.ones(_N_STRIPS, 1024, 1024), torch.ones(1, 1024)  # larger than the cache
    seconds: dict[Callable[[Tensor, Tensor], Tensor], float] = dict.fromkeys((_in_rows, _in_pairs), math.inf)
    with torch.inference_mode():
        for _ in range(_ROUNDS):
            for product in seconds:
                began = time.perf_counter()
                product(strips, x)
                seconds[product] = min(seconds[product], time.perf_counter() - began)
    return seconds[_in_pairs] < _CLEARLY * seconds[_in_rows]


@functools.cache
def batch_linear() -> Linear:
    """Return the fastest linear function for several tokens: oneDNN's if available and correct, else torch's own.

    oneDNN's is not part of torch's public API, so its results are checked once before use.
    """
    try:
        with torch.inference_mode():
            x, weight, bias = torch.linspace(-1, 1, 12).view(3, 4), torch.linspace(-1, 2, 20).view(5, 4), torch.ones(5)
            if torch.allclose(_one_dnn_linear(x, weight, bias), F.linear(x, weight, bias), atol=1e-5):
                return _one_dnn_linear
    except (AttributeError, RuntimeError, TypeError):  # missing operation, no oneDNN, or another signature
        pass
    return F.linear


def _one_dnn_linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    if FEW < x.size(0) <= _SHORT:
        y = torch.mm(weight, x.t()).t()
        return y if bias is None else y.add_(bias)
    if x.size(0) * weight.numel() < _LITTLE:
        return F.linear(x, weight, bias)
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")  # type: ignore[no-any-return]
