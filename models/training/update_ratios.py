"""How much an update changes each layer, compared with what is there: near 1e-3 is usual for a healthy training."""

from __future__ import annotations

import re

import torch

from models.training.parallel.layout import Layout

_LAYER = re.compile(r"(?:\w+\.)?blocks\.\d+|head\b")


def layer_of(parameter: str) -> str:
    """The layer that a parameter belongs to, by its name: "blocks.3", "encoder.blocks.0", "embedding", "norm" …"""
    found = _LAYER.match(parameter)
    return found[0] if found else parameter.rsplit(".", 1)[0]


class UpdateRatios:
    """The length of an update divided by that of the weights before it, layer by layer.

    Created right before the update; `ratios` right after it. Holds a copy of all weights in between.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        named = [(name, parameter) for name, parameter in layout.model.named_parameters() if parameter.requires_grad]
        self._layers = [layer_of(name) for name, _ in named]
        self._now = [layout.local(parameter.detach()) for _, parameter in named]
        self._before = [tensor.clone() for tensor in self._now]

    def ratios(self) -> dict[str, float]:
        """By layer, in the order of the model; NaN where a layer's weights are all zero."""
        changes = torch.stack(torch._foreach_norm(torch._foreach_sub(self._now, self._before)))
        lengths = torch.stack(torch._foreach_norm(self._before))
        squares = self._layout.total(torch.stack((changes.float() ** 2, lengths.float() ** 2))).tolist()  # the one wait
        sums: dict[str, list[float]] = {}
        for layer, change, length in zip(self._layers, *squares, strict=True):
            total = sums.setdefault(layer, [0.0, 0.0])
            total[0] += change
            total[1] += length
        return {layer: (change / length) ** 0.5 if length else float("nan") for layer, (change, length) in sums.items()}
