"""The activations as functions of one number and as formulas, for the diagram. No Qt."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from terrarium.models.settings.activations import ACTIVATIONS
from terrarium.models.settings.slots import check_complete


def _gelu(a: float) -> float:
    return a * 0.5 * (1 + math.erf(a / math.sqrt(2)))


def _gelu_tanh(a: float) -> float:
    return a * 0.5 * (1 + math.tanh(math.sqrt(2 / math.pi) * (a + 0.044715 * a**3)))


@dataclass(frozen=True)
class Curve:
    """An activation to draw. formula: in terms of a, the output of the up matrix, or g, the output of the gate matrix.
    meaning: what it does besides passing positive values. reach: the numbers that each result depends on.
    """

    value: Callable[[float], float]
    formula: str
    meaning: str = ""
    reach: str = "elementwise"


CURVES = {
    "relu": Curve(lambda a: max(a, 0.0), "max(a, 0)"),
    "gelu": Curve(_gelu, "a · Φ(a)"),
    "gelu_tanh": Curve(_gelu_tanh, "a · ½(1 + tanh(√(2/π)(a + 0.0447 a³)))"),
    "relu2": Curve(lambda a: max(a, 0.0) ** 2, "max(a, 0)²", ", squared"),
    "solu": Curve(
        lambda a: a * math.exp(a) / (math.exp(a) + 15),
        "a · softmax(a)",
        ", the largest above all: by a softmax, the features compete (curve: with 15 others at 0)",
        reach="softmax over the features",
    ),
    "swiglu": Curve(lambda a: a / (1 + math.exp(-a)), "g / (1 + exp(−g))"),
    "geglu": Curve(_gelu, "g · Φ(g)"),
    "geglu_tanh": Curve(_gelu_tanh, "g · ½(1 + tanh(√(2/π)(g + 0.0447 g³)))"),
}
"""ModelConfig.activation -> its curve."""
check_complete(CURVES, ACTIVATIONS, "activations in the diagram")
