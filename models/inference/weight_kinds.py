"""How a model's matrices can be kept, and what was measured of each kind, as plain data. No torch import."""

from __future__ import annotations

from dataclasses import dataclass

from models.events import Event

KINDS = ("float32", "bfloat16", "int8")
"""The first is how weights are trained and stored."""


@dataclass(frozen=True, kw_only=True)
class WeightsFigures:
    """What was measured of one kind of weights.

    tokens_per_s: written one by one; read_per_s: read at once, as of a prompt; medians of the rounds.
    change: by how much of 1 its perplexity is above that of float32 (below: negative). problem: why it cannot be fast
    here, as a sentence.
    """

    kind: str
    megabytes: float
    tokens_per_s: float
    read_per_s: float
    perplexity: float
    change: float
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class WeightsMeasured(Event):
    """All kinds, float32 first; on which text, and how many of its tokens were predicted."""

    rows: tuple[WeightsFigures, ...]
    text: str
    n_predicted: int
