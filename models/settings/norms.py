"""The available normalisations. No torch.

Implemented, by the same names, in models.architecture.norms, models.code_view.reference and models.design.activations.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Norm:
    """A choice of `ModelConfig.norm`. title: its name on screen. has_bias: whether it can have a bias."""

    title: str
    has_bias: bool


NORMS = {
    "layernorm": Norm(title="LayerNorm", has_bias=True),
    "rmsnorm": Norm(title="RMSNorm", has_bias=False),
}
"""The normalisations by name, in the order of the form."""
