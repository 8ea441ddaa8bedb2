"""What one forward pass is asked to tell about itself, passed to it as an argument and never held in a module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

WANTED = ("attention", "residual", "router")


class Trace:
    """Collects what is `wanted` of a forward pass, and carries ablations into it.

    A site is a module's path: "blocks.0.attention" (in an encoder-decoder "encoder.blocks.0.attention",
    "decoder.blocks.0.cross_attention", …). No dataclass: FSDP2 hands blocks copies of those.
    """

    def __init__(
        self, wanted: frozenset[str] = frozenset(WANTED), ablated_heads: Mapping[str, Sequence[int]] | None = None
    ) -> None:
        assert wanted <= set(WANTED), wanted
        self.wanted = wanted
        """What to collect: "attention" (slower: it is not fused then), "residual", "router"."""
        self.ablated_heads = ablated_heads or {}
        """Heads whose result is set to zero, by the attention's site."""
        self.attention: dict[str, Tensor] = {}
        """Attention weights (B, H, T, S) by site."""
        self.residual: dict[str, Tensor] = {}
        """The residual stream (B, T, C) after the embeddings ("embedding") and after each block ("blocks.0")."""
        self.router: dict[str, tuple[Tensor, Tensor]] = {}
        """By the feed-forward's site: each expert's probability (N, E) for N tokens, and those chosen (N, k) long."""
