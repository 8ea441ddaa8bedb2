"""What one forward pass is asked to tell about itself, passed to it as an argument and never held in a module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

WANTED = ("attention", "residual", "router", "parts", "heads")


class Patch(NamedTuple):
    """What stands in the place of a result wherever `where` (bool) is true. Both broadcast to the result's shape."""

    where: Tensor
    values: Tensor


class Trace:
    """Collects what is `wanted` of a forward pass, and carries ablations and patches into it.

    A site is a module's path: "blocks.0.attention" (in an encoder-decoder "encoder.blocks.0.attention",
    "decoder.blocks.0.cross_attention", …). No dataclass: FSDP2 hands blocks copies of those.
    """

    def __init__(
        self,
        wanted: frozenset[str] = frozenset(WANTED),
        ablated_heads: Mapping[str, Sequence[int]] | None = None,
        patches: Mapping[str, Patch] | None = None,
        known: Mapping[str, Tensor] | None = None,
    ) -> None:
        assert wanted <= set(WANTED), wanted
        self.wanted = wanted
        """What to collect: "attention" (slower: it is not fused then), "residual", "router", "parts", "heads"."""
        self.ablated_heads = ablated_heads or {}
        """Heads whose result is set to zero, by the attention's site."""
        self.patches = patches or {}
        """What takes the place of a result: by the site of a part (B, T, C), by that of an attention with ".heads"
        (B, H, T, D), or "embedding" (B, T, C). A part that is switched off is patched with zeros."""
        self.known = known or {}
        """Residual streams (B, T, C) after blocks, by the block's site: such a block is not computed."""
        self.attention: dict[str, Tensor] = {}
        """Attention weights (B, H, T, S) by site."""
        self.residual: dict[str, Tensor] = {}
        """The residual stream (B, T, C) after the embeddings ("embedding") and after each block ("blocks.0")."""
        self.router: dict[str, tuple[Tensor, Tensor]] = {}
        """By the feed-forward's site: each expert's probability (N, E) for N tokens, and those chosen (N, k) long."""
        self.parts: dict[str, Tensor] = {}
        """What each attention, cross-attention and feed-forward adds to the residual stream (B, T, C), by its site."""
        self.heads: dict[str, Tensor] = {}
        """What each head has gathered (B, H, T, D), before the output matrix, by the attention's site."""

    def follow_embedding(self, site: str, x: Tensor) -> Tensor:
        """The residual stream's beginning as it goes on: patched, and collected."""
        x = self._patched(site, x)
        if "residual" in self.wanted:
            self.residual[site] = x
        return x

    def follow_part(self, site: str, out: Tensor) -> Tensor:
        """The result of an attention or a feed-forward as it goes on."""
        out = self._patched(site, out)
        if "parts" in self.wanted:
            self.parts[site] = out
        return out

    def follow_heads(self, site: str, out: Tensor) -> Tensor:
        """The results of an attention's heads (B, H, T, D) as they go on."""
        if site in self.ablated_heads:
            out = out.index_fill(1, torch.tensor(list(self.ablated_heads[site]), device=out.device), 0.0)
        out = self._patched(f"{site}.heads", out)
        if "heads" in self.wanted:
            self.heads[site] = out
        return out

    def _patched(self, site: str, out: Tensor) -> Tensor:
        patch = self.patches.get(site)
        return out if patch is None else torch.where(patch.where, patch.values.to(out.dtype), out)
