"""The number formats of a model's matrices, and measurements of each, as plain data. No torch import."""

from __future__ import annotations

from dataclasses import dataclass

from terrarium.models.events import Event

KINDS = ("float32", "bfloat16", "int8", "int4")
"""The first is the format of training and storage."""


@dataclass(frozen=True, kw_only=True)
class WeightsFigures:
    """The measurements of one weight format.

    tokens_per_s: decoding speed; read_per_s: prefill speed; both tokens per second, medians of the rounds.
    change: relative change of the perplexity against float32. problem: a sentence on why it cannot be fast here.
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
    """The measurements of all formats, float32 first; the text, and how many of its tokens were predicted."""

    rows: tuple[WeightsFigures, ...]
    text: str
    n_predicted: int
