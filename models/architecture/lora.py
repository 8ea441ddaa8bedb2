"""LoRA: small trained matrices in addition to the frozen ones (arXiv:2106.09685).

Letters in shape comments: r rank, N in_features, M out_features.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

DOWN, UP = "lora_a", "lora_b"
"""The names of an adapter's parameters A and B, beside the matrix's `weight`."""


class LoraLinear(nn.Linear):
    """A linear layer with an adapter: W x + scale · B (A x), where A is (r, N) and B (M, r).

    W and the bias are those of `linear`, frozen. B starts as zeros, so the output is initially W x, bit for bit.
    """

    def __init__(self, linear: nn.Linear, r: int, scale: float, dropout: float = 0.0) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.weight, self.bias = linear.weight, linear.bias
        self.scale, self.dropout = scale, dropout
        self.lora_a = nn.Parameter(linear.weight.new_empty(r, linear.in_features))
        self.lora_b = nn.Parameter(linear.weight.new_zeros(linear.out_features, r))
        nn.init.kaiming_uniform_(self.lora_a, a=5**0.5)
        for frozen in linear.parameters():
            frozen.requires_grad_(False)

    def forward(self, input: Tensor) -> Tensor:
        """(…, N) -> (…, M)."""
        drops = self.dropout and self.training and torch.is_grad_enabled()  # not while a model in training generates
        dropped = F.dropout(input, self.dropout) if drops else input
        added = F.linear(F.linear(dropped, self.lora_a), self.lora_b)
        return F.linear(input, self.weight, self.bias) + self.scale * added

    def merged(self) -> nn.Linear:
        """Return a plain linear layer that computes the same, with merged weights."""
        plain = nn.Linear(self.in_features, self.out_features, bias=False, device="meta")
        weight = merged_weight(self.weight.detach(), self.lora_a.detach(), self.lora_b.detach(), self.scale)
        plain.weight, plain.bias = nn.Parameter(weight, requires_grad=False), self.bias
        return plain.train(self.training)


def merged_weight(weight: Tensor, a: Tensor, b: Tensor, scale: float) -> Tensor:
    """Merge the matrix of a layer and its adapter: W + scale · B A, (M, N)."""
    return torch.add(weight, b @ a, alpha=scale)


def adapted_layers(model: nn.Module) -> list[str]:
    """Return the paths of the layers that LoRA adapts: all matrices of all blocks, except the routers of experts."""
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and ".blocks." in f".{name}" and not name.endswith(".router")
    ]


def add_adapters(model: nn.Module, r: int, scale: float, dropout: float = 0.0) -> None:
    """Give each of the `adapted_layers` an adapter of rank r; A is drawn from torch's global generator."""
    for path in adapted_layers(model):
        linear = model.get_submodule(path)
        assert isinstance(linear, nn.Linear)
        _put(model, path, LoraLinear(linear, r, scale, dropout))


def scale_of(model: nn.Module) -> float | None:
    """Return the scale of a model's adapters, or None if it has none."""
    return next((module.scale for module in model.modules() if isinstance(module, LoraLinear)), None)


@contextmanager
def merged(model: nn.Module) -> Iterator[None]:
    """Merge the model's adapters into its matrices within the `with` block, as `load_model` does.

    Afterwards the original layers are put back, so the weights are restored bit for bit.
    """
    layers = {name: module for name, module in model.named_modules() if isinstance(module, LoraLinear)}
    for path, layer in layers.items():
        _put(model, path, layer.merged())
    try:
        yield
    finally:
        for path, layer in layers.items():
            _put(model, path, layer.train(model.training))


def _put(model: nn.Module, path: str, layer: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(model.get_submodule(parent), name, layer)
