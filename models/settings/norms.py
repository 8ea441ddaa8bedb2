"""The normalisations that there are. No torch.

Their code, by the same names: models.architecture.norms (modules), models.codegen.layers (text), models.cost.modules
(what they keep in memory).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Norm:
    """A choice of `ModelConfig.norm`. title: its name on screen. has_bias: whether a design's biases are its, too."""

    title: str
    has_bias: bool


NORMS = {
    "layernorm": Norm(title="LayerNorm", has_bias=True),
    "rmsnorm": Norm(title="RMSNorm", has_bias=False),
}
"""By name, in the order of the form."""
