"""Which designs can be ONNX files, and whether the required packages are installed. No torch import."""

from __future__ import annotations

from importlib.util import find_spec

from terrarium.models.design import total_parameters
from terrarium.models.interop.options import custom_block_misfit
from terrarium.models.number_words import format_size
from terrarium.models.settings.model_config import ModelConfig

_PACKAGES = ("onnx", "onnxscript", "onnxruntime")
_MAX_BYTES = 2_000_000_000
"""The maximum size of a file of protobuf, the format of ONNX."""
INSTEAD = "export a Hugging Face folder instead"


def onnx_packages_missing() -> str:
    """Return a sentence on what to install for ONNX files; "" if everything is installed."""
    if all(find_spec(name) is not None for name in _PACKAGES):
        return ""
    return (
        f"ONNX files need the packages {', '.join(_PACKAGES)}, which are not installed here: install Terrarium with "
        "pip install 'llm-terrarium[onnx]', or uv tool install 'llm-terrarium[onnx]'."
    )


def onnx_misfit(config: ModelConfig) -> str:
    """Return a sentence on why a design cannot be an ONNX file; "" if it can."""
    if misfit := custom_block_misfit(config, "onnxruntime"):
        return misfit
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
