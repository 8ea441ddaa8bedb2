"""RoPE and its scaling in a config.json: the old format (rope_theta, rope_scaling) and the new (rope_parameters)."""

from __future__ import annotations

import math
from typing import Any

from terrarium.models.interop.options import integer, must_be, number
from terrarium.models.settings.model_config import ModelConfig

KEYS = ("rope_theta", "rope_scaling", "rope_parameters", "partial_rotary_factor", "original_max_position_embeddings")
"""The options that `read_rope` reads."""

_COMMON = {"rope_type", "type", "rope_theta", "partial_rotary_factor"}
_READ = {
    "default": set(),
    "linear": {"factor"},
    "dynamic": {"factor", "original_max_position_embeddings"},
    "llama3": {"factor", "original_max_position_embeddings", "low_freq_factor", "high_freq_factor"},
    "yarn": {
        "factor", "original_max_position_embeddings", "beta_fast", "beta_slow", "attention_factor", "mscale",
        "mscale_all_dim", "truncate",
    },
}  # fmt: skip


def read_rope(raw: dict[str, Any], context_length: int) -> dict[str, Any]:
    """Return the RoPE fields of the model config, and context_length if scaling extends max_position_embeddings.

    Raises:
        ValueError: if the scaling is not supported or incomplete.
    """
    options = _options(raw)
    must_be(raw, "partial_rotary_factor", 1.0)
    must_be(options, "partial_rotary_factor", 1.0)
    kind = options.get("rope_type", options.get("type"))
    kind = "default" if kind is None else kind
    if not isinstance(kind, str) or kind not in _READ:
        raise ValueError(f"RoPE scaling {kind!r} is not supported: it can be {', '.join(_READ)}.")
    unknown = [key for key, value in options.items() if value is not None and key not in _COMMON | _READ[kind]]
    if unknown and kind != "default":  # which ignores them
        raise ValueError(f"RoPE scaling {kind} has no option {unknown[0]!r}.")
    slots: dict[str, Any] = {
        "position": "rope",
        "rope_theta": number(options, "rope_theta", number(raw, "rope_theta", 10_000.0)),
    }
    if kind == "default":
        return slots
    slots |= {"rope_scaling": kind, "rope_factor": number(options, "factor")}
    if kind == "dynamic":
        # The class takes the original length from max_position_embeddings and has no upper limit.
        must_be({**raw, **options}, "original_max_position_embeddings", context_length)
        stretched = math.floor(context_length * slots["rope_factor"])
        slots |= {"rope_original_context": context_length, "context_length": stretched}
    if kind in ("llama3", "yarn"):
        own = integer(options, "original_max_position_embeddings", context_length)
        slots["rope_original_context"] = integer(raw, "original_max_position_embeddings", own)
    if kind == "llama3":
        slots["rope_low_rotations"] = number(options, "low_freq_factor")
        slots["rope_high_rotations"] = number(options, "high_freq_factor")
    if kind == "yarn":
        must_be(options, "truncate", True)
        slots["rope_low_rotations"] = number(options, "beta_slow", 1.0) or 1.0
        slots["rope_high_rotations"] = number(options, "beta_fast", 32.0) or 32.0
        slots["rope_attention_factor"] = _attention_factor(options, slots["rope_factor"])
    return slots


def _options(raw: dict[str, Any]) -> dict[str, Any]:
    """Return the RoPE options under either name; empty if there are none."""
    found = [raw[key] for key in ("rope_scaling", "rope_parameters") if raw.get(key)]
    if len(found) == 2 and found[0] != found[1]:
        raise ValueError("rope_scaling and rope_parameters contradict each other: remove one of them.")
    options = found[0] if found else {}
    if not isinstance(options, dict):
        raise ValueError(f"RoPE's options must be an object, not {options!r}.")
    if any(isinstance(value, dict) for value in options.values()):
        raise ValueError("RoPE options per layer type are not supported.")
    return options


def _attention_factor(options: dict[str, Any], factor: float) -> float:
    """Return YaRN's factor for queries and keys (Peng et al., arXiv:2309.00071); 0 = the paper's default."""
    if options.get("attention_factor") is not None:
        given = number(options, "attention_factor")
        if given <= 0:
            raise ValueError(f"attention_factor {given:g} is not supported: it must be more than 0.")
        return given
    wide, wide_all = number(options, "mscale", 0.0), number(options, "mscale_all_dim", 0.0)
    if not (wide and wide_all):
        return 0.0
    growth = 0.1 * math.log(factor)
    return (wide * growth + 1) / (wide_all * growth + 1)


def write_rope(config: ModelConfig) -> dict[str, Any]:
    """Return rope_parameters and max_position_embeddings of a design with RoPE; the inverse of `read_rope`."""
    context = config.context_length
    options: dict[str, Any] = {"rope_type": "default", "rope_theta": config.rope_theta}
    if config.rope_scaling != "none":
        options |= {"rope_type": config.rope_scaling, "factor": config.rope_factor}
    if config.rope_scaling == "dynamic":
        context = config.rope_original_context
    if config.rope_scaling in ("llama3", "yarn"):
        options["original_max_position_embeddings"] = config.rope_original_context
    if config.rope_scaling == "llama3":
        options["low_freq_factor"] = config.rope_low_rotations
        options["high_freq_factor"] = config.rope_high_rotations
    if config.rope_scaling == "yarn":
        if not config.rope_low_rotations:
            raise ValueError("has no yarn with rope_low_rotations 0.")
        options |= {"beta_slow": config.rope_low_rotations, "beta_fast": config.rope_high_rotations}
        if config.rope_attention_factor:
            options["attention_factor"] = float(config.rope_attention_factor)
    return {"max_position_embeddings": context, "rope_theta": config.rope_theta, "rope_parameters": options}
