"""Update-to-weight ratios: the norm of each layer's update relative to its weights; about 1e-3 in a healthy run."""

from __future__ import annotations

import re

import torch

from terrarium.models.training.parallel.layout import Layout

_LAYER = re.compile(r"(?:\w+\.)?blocks\.\d+|head\b")


def layer_of(parameter: str) -> str:
    """Return the layer of a parameter by its name: "blocks.3", "encoder.blocks.0", "embedding", "norm" …"""
    found = _LAYER.match(parameter)
    return found[0] if found else parameter.rsplit(".", 1)[0]


class UpdateRatios:
    """The L2 norm of an update divided by that of the weights before it, layer by layer.

    Create it right before the update and call `ratios` once, right after. Keeps a copy of all weights in between.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        named = [(name, parameter) for name, parameter in layout.model.named_parameters() if parameter.requires_grad]
        self._layers = [layer_of(name) for name, _ in named]
        self._now = [layout.local(parameter.detach()) for _, parameter in named]
        self._before = [tensor.clone() for tensor in self._now]

    def ratios(self) -> dict[str, float]:
        """Return the ratios by layer, in the order of the model; NaN if a layer's weights are all zero."""
        lengths = torch.stack(torch._foreach_norm(self._before))
        torch._foreach_sub_(
            self._before, self._now
        )  # in place: a second copy would be the peak of a large model's step
        changes = torch.stack(torch._foreach_norm(self._before))
        squares = self._layout.total(
            torch.stack((changes.float() ** 2, lengths.float() ** 2))
        ).tolist()  # the only device sync
        sums: dict[str, list[float]] = {}
        for layer, change, length in zip(self._layers, *squares, strict=True):
            total = sums.setdefault(layer, [0.0, 0.0])
            total[0] += change
            total[1] += length
        return {layer: (change / length) ** 0.5 if length else float("nan") for layer, (change, length) in sums.items()}
