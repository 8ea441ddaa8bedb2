"""Which designs can be ONNX files, and whether there is what writes them. No torch."""

from __future__ import annotations

from importlib.util import find_spec

from terrarium.models.cost import total_parameters
from terrarium.models.number_words import format_size
from terrarium.models.settings.model_config import ModelConfig

_PACKAGES = ("onnx", "onnxscript", "onnxruntime")
_MAX_BYTES = 2_000_000_000
"""What protobuf, in which ONNX is written, holds in one file."""
INSTEAD = "export a Hugging Face folder instead"


def onnx_packages_missing() -> str:
    """What to install for ONNX files, a sentence; "" where everything is there."""
    if all(find_spec(name) is not None for name in _PACKAGES):
        return ""
    return (
        f"ONNX files need the packages {', '.join(_PACKAGES)}, which are not installed here: install Terrarium with "
        "pip install 'llm-terrarium[onnx]', or uv tool install 'llm-terrarium[onnx]'."
    )


def onnx_misfit(config: ModelConfig) -> str:
    """Why a design cannot be an ONNX file, a sentence; "" where it can."""
    if config.topology == "encoder-decoder":
        return f"ONNX files are written of encoders and decoders, and this is an encoder-decoder: {INSTEAD}."
    if config.position == "rope" and config.rope_scaling == "dynamic":
        return (
            "With dynamic RoPE scaling the model changes with the length of the text, which an ONNX file cannot: "
            f"{INSTEAD}."
        )
    if (n_bytes := 4 * total_parameters(config)) > _MAX_BYTES:
        return f"The model takes {format_size(n_bytes)}, but an ONNX file holds {format_size(_MAX_BYTES)}: {INSTEAD}."
    return ""
