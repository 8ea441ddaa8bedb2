"""What one forward pass is asked to tell about itself, passed to it as an argument and never held in a module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

WANTED = ("attention", "residual", "router")


@dataclass
class Trace:
    """Collects what is `wanted` of a forward pass, and carries ablations into it.

    A site is a module's path: "blocks.0.attention" (in an encoder-decoder "encoder.blocks.0.attention",
    "decoder.blocks.0.cross_attention", …).
    """

    wanted: frozenset[str] = frozenset(WANTED)
    """What to collect: "attention" (slower: it is not fused then), "residual", "router"."""
    ablated_heads: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """Heads whose result is set to zero, by the attention's site."""
    attention: dict[str, Tensor] = field(default_factory=dict)
    """Attention weights (B, H, T, S) by site."""
    residual: dict[str, Tensor] = field(default_factory=dict)
    """The residual stream (B, T, C) after the embeddings ("embedding") and after each block ("blocks.0")."""
    router: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)
    """By the feed-forward's site: each expert's probability (N, E) for the N tokens, and those chosen (N, k) long."""

    def __post_init__(self) -> None:
        assert self.wanted <= set(WANTED), self.wanted
