"""A model whose matrices are kept in fewer bytes: bfloat16, or int8 with a scale for each output.

The residual stream, norms, biases, embeddings and routers stay in float32; only what a matrix is multiplied with is
rounded to bfloat16. (Weight-only, symmetric and by output channel, as in LLM.int8(), arXiv:2208.07339, section 2.)

Letters in shape comments: T tokens, K inputs, N outputs, C d_model, V vocab_size.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.architecture.heads import LanguageHead
from models.architecture.transformer import AnyModel
from models.inference.weight_kinds import KINDS

_FEW = 16
"""Tokens up to which the int8 kernel is faster than to widen the weights first (measured)."""
_GROUP = 32
"""The int8 kernel reads inputs in groups: with any other number it reads what is not there."""


def prepare_weights(model: AnyModel, kind: str) -> AnyModel:
    """The model with its matrices in `kind`, for inference: a new one that shares all else, or `model` for "float32".

    It does not follow `model` when that learns on: prepare it again then.

    Raises:
        ValueError: for another kind.
    """
    if kind not in KINDS:
        raise ValueError(f"Weights cannot be kept as {kind!r}: choose one of {', '.join(KINDS)}.")
    if kind == "float32":
        return model
    shared = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    prepared = copy.deepcopy(model, memo=shared).eval()
    narrow = Int8Linear if kind == "int8" else Bfloat16Linear
    for parent in list(prepared.modules()):
        for name, module in parent.named_children():
            if type(module) is nn.Linear and name != "router":
                setattr(parent, name, narrow(module.weight, module.bias))
    head = prepared.head
    if isinstance(head, LanguageHead):
        table = prepared.embedding.weight if head.weight is None else head.weight
        prepared.head = NarrowHead(head, narrow(table, head.bias))
    return prepared


def megabytes(model: nn.Module) -> float:
    """What the model's weights take in memory, in millions of bytes; a tensor with two names counts once."""
    tensors = {tensor.data_ptr(): tensor for tensor in (*model.parameters(), *model.buffers())}
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values()) / 1e6


def slower_reason(kind: str, device: torch.device) -> str:
    """Why weights of this kind cannot be fast on the device, as a sentence; '' where nothing is known against them."""
    if kind == "int8" and (device.type != "cpu" or not kernel_works()):
        return (
            "There is no int8 kernel for this device, so int8 weights are widened for each token, which takes longer."
        )
    return ""


class Bfloat16Linear(nn.Module):
    """A linear layer whose weights are rounded to bfloat16."""

    weight: Tensor

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.register_buffer("weight", weight.detach().bfloat16())
        self.bias = bias

    def widened(self) -> Tensor:
        """The weights that it multiplies with, (N, K) float32."""
        return self.weight.float()

    def forward(self, x: Tensor) -> Tensor:
        """x (…, K) -> (…, N), in the dtype of x."""
        y = F.linear(x.bfloat16(), self.weight).to(x.dtype)
        return y if self.bias is None else y + self.bias


class Int8Linear(nn.Module):
    """A linear layer whose weights are whole numbers from −127 to 127, times a scale for each output."""

    weight: Tensor
    scale: Tensor

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        weight = weight.detach().float()
        # The scale is rounded to what the kernel takes, and first: so the weights make up for it.
        scale = (weight.abs().amax(dim=1).clamp(min=1e-20) / 127).bfloat16()  # (N)
        whole = (weight / scale.float()[:, None]).round().clamp(-127, 127).to(torch.int8)
        self.register_buffer("weight", F.pad(whole, (0, -whole.size(1) % _GROUP)))  # (N, K and up to 31 zeros)
        self.register_buffer("scale", scale)
        self.bias = bias
        self._n_added = self.weight.size(1) - whole.size(1)

    def widened(self) -> Tensor:
        """The weights that it multiplies with, (N, K) float32."""
        return (self.weight * self.scale.float()[:, None])[:, : self.weight.size(1) - self._n_added]

    def forward(self, x: Tensor) -> Tensor:
        """x (…, K) -> (…, N), in the dtype of x."""
        rows = x.reshape(-1, x.size(-1)).bfloat16()  # (T, K)
        if self._n_added:
            rows = F.pad(rows, (0, self._n_added))
        kernel = kernel_works() and rows.device.type == "cpu" and len(rows) <= _FEW and not rows.requires_grad
        if kernel:
            y = _int8_kernel(rows, self.weight, self.scale).to(x.dtype)
        else:
            y = F.linear(rows, self.weight.bfloat16()).to(x.dtype) * self.scale.to(x.dtype)
        y = y.view(*x.shape[:-1], -1)
        return y if self.bias is None else y + self.bias


class NarrowHead(LanguageHead):
    """With a matrix of its own, whether that is made of the embedding's table or not."""

    def __init__(self, head: LanguageHead, matrix: Bfloat16Linear | Int8Linear) -> None:
        nn.Module.__init__(self)
        self.transform, self.scale, self.bias = head.transform, head.scale, head.bias
        self.matrix = matrix

    @property
    def weight(self) -> Tensor:  # type: ignore[override]
        """What hidden states are multiplied by, as numbers (V, C) in float32: for looking at it."""
        return self.matrix.widened()

    def forward(self, hidden: Tensor, table: Tensor) -> Tensor:
        """As `LanguageHead.forward`; the table is not looked at."""
        if self.transform is not None:
            hidden = self.transform(hidden)
        return self.matrix(hidden * self.scale if self.scale != 1.0 else hidden)  # type: ignore[no-any-return]


@functools.cache
def kernel_works() -> bool:
    """Whether torch has its int8 kernel here, and it multiplies right: it is no part of torch's public interface."""
    try:
        with torch.inference_mode():
            x = torch.linspace(-1, 1, 2 * _GROUP).view(2, -1).bfloat16()
            weight = torch.arange(-3 * _GROUP // 2, 3 * _GROUP // 2).view(3, -1).to(torch.int8)
            expected = F.linear(x.float(), weight.float())
            return torch.allclose(
                _int8_kernel(x, weight, torch.ones(3).bfloat16()).float(), expected, rtol=0.02, atol=1
            )
    except (AttributeError, RuntimeError, TypeError):  # no such operation, not for this machine, another signature
        return False


_int8_kernel: Callable[[Tensor, Tensor, Tensor], Tensor] = getattr(torch, "_weight_int8pack_mm", F.linear)
