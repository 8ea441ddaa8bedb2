"""Tracing and patching of a forward pass, passed as an argument and never stored in a module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

WANTED = ("attention", "residual", "router", "parts", "heads")


class Patch(NamedTuple):
    """A patch of the result at a site: `values` where `where` (bool) is true. Both broadcast to the result's shape."""

    where: Tensor
    values: Tensor


class Trace:
    """Collects the `wanted` activations of a forward pass, and applies ablations and patches.

    A site is a module's path: "blocks.0.attention" (in an encoder-decoder "encoder.blocks.0.attention",
    "decoder.blocks.0.cross_attention", …). Not a dataclass: FSDP2 would pass copies of it to blocks.
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
        """The activations to collect: "attention" (slower, because it is then not fused), "residual", "router",
        "parts", "heads"."""
        self.ablated_heads = ablated_heads or {}
        """The heads whose output is set to zero, by the attention's site."""
        self.patches = patches or {}
        """Replacements of results, by the site of a sublayer (B, T, C), by that of an attention plus ".heads"
        (B, H, T, D), or "embedding" (B, T, C). A sublayer is ablated by patching it with zeros."""
        self.known = known or {}
        """Known residual streams (B, T, C) after blocks, by the block's site: such a block is not computed."""
        self.attention: dict[str, Tensor] = {}
        """Attention weights (B, H, T, S) by site."""
        self.residual: dict[str, Tensor] = {}
        """The residual stream (B, T, C) after the embeddings ("embedding") and after each block ("blocks.0")."""
        self.router: dict[str, tuple[Tensor, Tensor]] = {}
        """The router's probabilities (N, E) of N tokens and their experts (N, k) long, by the feed-forward's site."""
        self.parts: dict[str, Tensor] = {}
        """What each attention, cross-attention and feed-forward adds to the residual stream (B, T, C), by site."""
        self.heads: dict[str, Tensor] = {}
        """The output of each head (B, H, T, D) before the output matrix, by the attention's site."""

    def intercept_embedding(self, site: str, x: Tensor) -> Tensor:
        """Patch and collect the start of the residual stream, and return it."""
        x = self._patched(site, x)
        if "residual" in self.wanted:
            self.residual[site] = x
        return x

    def intercept_part(self, site: str, out: Tensor) -> Tensor:
        """Patch and collect the output of an attention or a feed-forward, and return it."""
        out = self._patched(site, out)
        if "parts" in self.wanted:
            self.parts[site] = out
        return out

    def intercept_heads(self, site: str, out: Tensor) -> Tensor:
        """Ablate, patch and collect the outputs of an attention's heads (B, H, T, D), and return them."""
        if site in self.ablated_heads:
            out = out.index_fill(1, torch.tensor(list(self.ablated_heads[site]), device=out.device), 0.0)
        out = self._patched(f"{site}.heads", out)
        if "heads" in self.wanted:
            self.heads[site] = out
        return out

    def _patched(self, site: str, out: Tensor) -> Tensor:
        patch = self.patches.get(site)
        return out if patch is None else torch.where(patch.where, patch.values.to(out.dtype), out)
