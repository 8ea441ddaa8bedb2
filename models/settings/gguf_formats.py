"""What the matrices of a GGUF file can be stored as, among the formats that can be written without llama.cpp."""

from __future__ import annotations

GGUF_FORMATS = {
    "F32": "as trained",
    "F16": "half the size, next to no loss",
    "BF16": "half the size, for newer processors",
    "Q8_0": "about a quarter of the size, hardly any loss",
    "Q4_0": "about an eighth of the size; small models feel the loss",
}
"""By name: what it means for a model in float32."""

USUAL_FORMAT = "Q8_0"
