"""What the matrices of a GGUF file can be stored as, among the formats that can be written without llama.cpp."""

from __future__ import annotations

GGUF_FORMATS = {
    "F32": "32 bits per weight: as trained",
    "F16": "16 bits: next to no loss",
    "BF16": "16 bits, for newer processors: hardly any loss",
    "Q8_0": "8.5 bits: hardly any loss",
    "Q4_0": "4.5 bits: small models feel the loss",
}
"""By name: what a weight takes (Q8_0 and Q4_0: with its share of the scale of 32), and what that costs."""

USUAL_FORMAT = "Q8_0"
