"""The KV cache: what a decoder keeps of the tokens it has read, passed as an argument and never held in a module."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


class LayerCache:
    """One layer's keys and values (B, G, S, D) and the last inputs of its short convolutions (B, W - 1, C)."""

    def __init__(self) -> None:
        self.keys: Tensor | None = None
        self.values: Tensor | None = None
        self.tails: dict[str, Tensor] = {}

    def extend(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Append (B, G, T, D) and return all there is, (B, G, S, D)."""
        if self.keys is not None and self.values is not None:
            keys = torch.cat((self.keys, keys), dim=2)
            values = torch.cat((self.values, values), dim=2)
        self.keys, self.values = keys, values
        return keys, values

    def shift(self, site: str, x: Tensor, size: int) -> Tensor | None:
        """Return the `size` inputs before x (B, T, C), None at the very start, and keep the last `size`."""
        before = self.tails.get(site)
        joined = F.pad(x, (0, 0, size, 0)) if before is None else torch.cat((before, x), dim=1)
        self.tails[site] = joined[:, joined.size(1) - size :]
        return before


class KVCache:
    """The caches of all layers of one batch of sequences that grow together."""

    def __init__(self, n_layer: int) -> None:
        self.layers = [LayerCache() for _ in range(n_layer)]
        self.mask: Tensor | None = None
        """Which of the kept tokens are real, (B, S) bool; None = all."""

    @property
    def length(self) -> int:
        """Tokens kept so far, S."""
        keys = self.layers[0].keys
        return 0 if keys is None else keys.size(2)

    def select(self, rows: Tensor) -> None:
        """Keep only the given rows of the batch, in that order (rows: 1-D long or bool)."""
        for layer in self.layers:
            if layer.keys is not None and layer.values is not None:
                layer.keys, layer.values = layer.keys[rows], layer.values[rows]
            layer.tails = {site: tail[rows] for site, tail in layer.tails.items()}
        if self.mask is not None:
            self.mask = self.mask[rows]
