"""The number formats of a model's matrices in memory and in GGUF files, and measurements, as plain data. No torch."""

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


GGUF_FORMATS = {
    "F32": "32 bits per weight: as trained",
    "F16": "16 bits: next to no loss",
    "BF16": "16 bits, for newer processors: hardly any loss",
    "Q8_0": "8.5 bits: hardly any loss",
    "Q4_0": "4.5 bits: small models feel the loss",
}
"""Name -> bits per weight (Q8_0 and Q4_0: including its share of a scale per 32 weights) and loss of quality."""
USUAL_GGUF_FORMAT = "Q8_0"
