"""The activations that there are between the matrices of the feed-forward. No torch.

Their code, by the same names: models.architecture.experts (modules), models.codegen.layers (text), models.cost.modules
(what they keep in memory).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Activation:
    """A choice of `ModelConfig.activation`.

    title: its name on screen. curve: the name of what is applied to single numbers; where it `is_gated`, to the result
    of a third matrix, which the second one's is multiplied by (GLU variants, arXiv:2002.05202).
    """

    title: str
    curve: str
    is_gated: bool = False


ACTIVATIONS = {
    "relu": Activation(title="ReLU", curve="ReLU"),
    "gelu": Activation(title="GELU", curve="GELU"),
    "gelu_tanh": Activation(title="GELU (tanh)", curve="GELU (tanh)"),
    "relu2": Activation(title="ReLU²", curve="ReLU²"),
    "swiglu": Activation(title="SwiGLU", curve="SiLU", is_gated=True),
    "geglu": Activation(title="GeGLU", curve="GELU", is_gated=True),
    "geglu_tanh": Activation(title="GeGLU (tanh)", curve="GELU (tanh)", is_gated=True),
}
"""By name, in the order of the form."""
