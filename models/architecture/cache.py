"""The KV cache of a decoder, passed as an argument and never stored in a module.

For generation only, not for training: keys and values are written in place into tensors with spare capacity, because
copying the whole cache for each new token would take most of the time.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


class LayerCache:
    """The cache of a layer: keys and values (B, G, S, D), and the last inputs of its short convolutions (B, W - 1 or
    more, C). That of the first layer also has the last tokens, as numbers for n-grams (B, N - 1 or more, 1)."""

    def __init__(self) -> None:
        self.length = 0
        self.spare = 0
        """The number of extra inputs retained in `tails`, and so the maximum number of tokens to roll back."""
        self.tails: dict[str, Tensor] = {}
        self.cross: tuple[Tensor, Tensor] | None = None
        """Keys and values of the encoder's output, each (B, G, S, D): computed once for all target tokens."""
        self.inputs: Tensor | None = None
        """The inputs of a custom attention block (B, S, C), which it reads again for each token."""
        self._kept: Tensor | None = None
        """Keys and values in one tensor (2, B, G, capacity, D), of which the first `length` tokens are in use."""

    @property
    def n_rows(self) -> int | None:
        """The batch size, B; None before the first tokens."""
        if self.inputs is not None:
            return self.inputs.size(0)
        return None if self._kept is None else self._kept.size(1)

    def extend_inputs(self, x: Tensor) -> Tensor:
        """Append inputs of a custom attention block (B, T, C), and return all of them, (B, S, C)."""
        before = None if self.inputs is None else self.inputs[:, : self.length]
        self.inputs = x if before is None else torch.cat((before, x), dim=1)
        self.length += x.size(1)
        return self.inputs

    def extend(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Append keys and values (B, G, T, D), and return all of them, (B, G, S, D)."""
        return self.extend_both(torch.stack((keys, values)))

    def extend_both(self, new: Tensor) -> tuple[Tensor, Tensor]:
        """Like `extend`, with keys and values in one tensor (2, B, G, T, D)."""
        before, n = self.length, new.size(3)
        self.length = length = before + n
        kept = self._kept
        if kept is None or kept.size(3) < length:
            kept = self._kept = _grown(kept, new, length)
        kept.narrow(3, before, n).copy_(new)
        keys, values = kept.narrow(3, 0, length).unbind(0)
        return keys, values

    def share(self, other: LayerCache) -> None:
        """Use the keys and values of another cache, in the same memory."""
        self._kept, self.length, self.inputs = other._kept, other.length, other.inputs

    def shift(self, site: str, x: Tensor, size: int) -> Tensor | None:
        """Return the `size` inputs before x (B, T, C), or None at the start; store the last ones for the next call."""
        before = self.tails.get(site)
        joined = F.pad(x, (0, 0, size, 0)) if before is None else torch.cat((before, x), dim=1)
        self.tails[site] = joined[:, max(0, joined.size(1) - size - self.spare) :]
        return before if before is None else before[:, before.size(1) - size :]

    def rollback(self, n: int) -> None:
        """Remove the last n tokens, at most `spare` of them."""
        assert 0 <= n <= min(self.length, self.spare)
        self.length -= n
        self.tails = {site: tail[:, : tail.size(1) - n] for site, tail in self.tails.items()}

    def select(self, rows: Tensor) -> None:
        """Retain only the given rows of the batch, in that order."""
        if self._kept is not None:
            self._kept = self._kept[:, rows]
        if self.inputs is not None:
            self.inputs = self.inputs[rows]
        self.tails = {site: tail[rows] for site, tail in self.tails.items()}
        if self.cross is not None:
            self.cross = self.cross[0][rows], self.cross[1][rows]

    def drop_first(self, n: int) -> None:
        """Drop the first n tokens of every row."""
        if self._kept is not None:
            self._kept = self._kept[:, :, :, n:]
        if self.inputs is not None:
            self.inputs = self.inputs[:, n:]
        self.length = max(0, self.length - n)


def _grown(kept: Tensor | None, new: Tensor, length: int) -> Tensor:
    """Return a copy of `kept` (None: an empty tensor like `new`) with capacity for more than `length` tokens."""
    both, batch, heads, _, width = new.shape
    larger = new.new_empty(both, batch, heads, length + max(32, length // 4), width)
    if kept is not None:
        larger[:, :, :, : kept.size(3)] = kept
    return larger


class KVCache:
    """The caches of all layers, for one batch of sequences."""

    def __init__(self, n_layer: int) -> None:
        self.layers = [LayerCache() for _ in range(n_layer)]
        self.mask: Tensor | None = None
        """The mask of the cached tokens, (B, S) bool, True = not padding; None = no padding."""
        self.positions: Tensor | None = None
        """The positions of the cached tokens (B, S), for a custom attention block."""
        self.source_mask: Tensor | None = None
        """The mask of the encoder's tokens, (B, S) bool, True = not padding; None = no padding."""

    @property
    def length(self) -> int:
        """The number of tokens in the cache, S."""
        return self.layers[0].length

    @property
    def n_rows(self) -> int | None:
        """The batch size, B; None before the first tokens."""
        return self.layers[0].n_rows

    @property
    def has_source(self) -> bool:
        """Whether the cache has an encoder's keys and values."""
        return self.layers[0].cross is not None

    @property
    def source_length(self) -> int:
        """The number of source tokens, S; 0 without a source."""
        cross = self.layers[0].cross
        return 0 if cross is None else cross[0].size(2)

    def extend_positions(self, positions: Tensor) -> Tensor:
        """Append positions (B, T) of tokens that are read next, and return those of all, (B, S)."""
        before = None if self.positions is None else self.positions[:, : self.length]
        self.positions = positions if before is None else torch.cat((before, positions), dim=1)
        return self.positions

    def select(self, rows: Tensor) -> None:
        """Retain only the given rows of the batch, in that order (rows: 1-D long or bool)."""
        for layer in self.layers:
            layer.select(rows)
        if self.mask is not None:
            self.mask = self.mask[rows]
        if self.source_mask is not None:
            self.source_mask = self.source_mask[rows]
        if self.positions is not None:
            self.positions = self.positions[rows]

    @property
    def can_truncate(self) -> bool:
        """Whether the cache can be cut after any token: no tails (of short convolutions or n-grams), no padding."""
        return self.mask is None and not any(layer.tails for layer in self.layers)

    def truncate(self, n: int) -> None:
        """Remove all but the first n tokens; only if `can_truncate`."""
        assert self.can_truncate
        assert all(layer.length >= n for layer in self.layers)
        for layer in self.layers:
            layer.length = n

    def reserve_rollback(self, n: int) -> None:
        """Retain enough inputs from now on to roll back up to n tokens."""
        for layer in self.layers:
            layer.spare = n

    def rollback(self, n: int) -> None:
        """Remove the last n tokens, at most as many as `reserve_rollback` reserved before; not supported with padding.

        The cache is then in the state before they were read: attention masks depend on positions only, so keys and
        values within a sliding window are still cached, and short convolutions have their earlier inputs.
        """
        assert self.mask is None
        for layer in self.layers:
            layer.rollback(n)

    def prefix(self, n: int) -> KVCache:
        """Return a cache of the first n tokens that shares this one's memory; append only the same tokens to it."""
        first = KVCache(len(self.layers))
        for layer, kept in zip(first.layers, self.layers, strict=True):
            layer.share(kept)
        first.positions = self.positions
        first.truncate(n)
        return first

    def clear_tails(self, mask: Tensor) -> None:
        """Zero the inputs in tails that are padding, after prompts padded on the left; mask (B, T) bool."""
        for layer in self.layers:
            for site, tail in layer.tails.items():
                real = F.pad(mask, (tail.size(1), 0))[:, -tail.size(1) :]  # (B, W - 1)
                layer.tails[site] = tail * real[..., None]

    def drop_padding(self) -> None:
        """Drop the leading tokens that are padding in every row."""
        if self.mask is None or bool(self.mask[:, 0].any()):
            return
        n = int(self.mask.any(dim=0).int().argmax())
        self.mask = self.mask[:, n:]
        if self.positions is not None:
            self.positions = self.positions[:, n:]
        for layer in self.layers:
            layer.drop_first(n)
