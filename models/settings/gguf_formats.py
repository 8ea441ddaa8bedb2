"""The GGUF weight formats that can be written without llama.cpp."""

from __future__ import annotations

GGUF_FORMATS = {
    "F32": "32 bits per weight: as trained",
    "F16": "16 bits: next to no loss",
    "BF16": "16 bits, for newer processors: hardly any loss",
    "Q8_0": "8.5 bits: hardly any loss",
    "Q4_0": "4.5 bits: small models feel the loss",
}
"""Name -> bits per weight (Q8_0 and Q4_0: including its share of a scale per 32 weights) and loss of quality."""

USUAL_FORMAT = "Q8_0"
