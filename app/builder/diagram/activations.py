"""The activations as plain functions of one number, for drawing, and in words. No Qt."""

from __future__ import annotations

import math
from collections.abc import Callable


def _gelu(a: float) -> float:
    return a * 0.5 * (1 + math.erf(a / math.sqrt(2)))


def _gelu_tanh(a: float) -> float:
    return a * 0.5 * (1 + math.tanh(math.sqrt(2 / math.pi) * (a + 0.044715 * a**3)))


CURVES: dict[str, Callable[[float], float]] = {
    "relu": lambda a: max(a, 0.0),
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "relu2": lambda a: max(a, 0.0) ** 2,
    "swiglu": lambda a: a / (1 + math.exp(-a)),
    "geglu": _gelu,
    "geglu_tanh": _gelu_tanh,
}
"""By ModelConfig.activation; of the gated ones that of the gate."""

NAMES = {
    "relu": "ReLU",
    "gelu": "GELU",
    "gelu_tanh": "GELU (tanh)",
    "relu2": "ReLU²",
    "swiglu": "SiLU",
    "geglu": "GELU",
    "geglu_tanh": "GELU (tanh)",
}
"""What is applied: to the gate where there is one."""

FORMULAS = {
    "relu": "max(a, 0)",
    "gelu": "a · Φ(a)",
    "gelu_tanh": "a · ½(1 + tanh(√(2/π)(a + 0.0447 a³)))",
    "relu2": "max(a, 0)²",
    "swiglu": "g / (1 + exp(−g))",
    "geglu": "g · Φ(g)",
    "geglu_tanh": "g · ½(1 + tanh(√(2/π)(g + 0.0447 g³)))",
}
"""Of a, what the matrix makes; where there is a gate, of g, what its matrix makes."""
