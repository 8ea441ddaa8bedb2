"""The available activations of the feed-forward. No torch.

Implemented, by the same names, in models.architecture.experts, models.code_view.reference and
models.design.activations.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Activation:
    """A choice of `ModelConfig.activation`.

    title: its name on screen. curve: the name of the function; if it `is_gated`, it is applied to the output of a third
    matrix, which multiplies the first one's output (GLU variants, arXiv:2002.05202). has_norm: whether its result is
    normalised before the last matrix.
    """

    title: str
    curve: str
    is_gated: bool = False
    has_norm: bool = False


ACTIVATIONS = {
    "relu": Activation(title="ReLU", curve="ReLU"),
    "gelu": Activation(title="GELU", curve="GELU"),
    "gelu_tanh": Activation(title="GELU (tanh)", curve="GELU (tanh)"),
    "relu2": Activation(title="ReLU²", curve="ReLU²"),
    "solu": Activation(title="SoLU", curve="SoLU", has_norm=True),
    "swiglu": Activation(title="SwiGLU", curve="SiLU", is_gated=True),
    "geglu": Activation(title="GeGLU", curve="GELU", is_gated=True),
    "geglu_tanh": Activation(title="GeGLU (tanh)", curve="GELU (tanh)", is_gated=True),
}
"""The activations by name, in the order of the form."""
