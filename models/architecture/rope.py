"""The arithmetic of RoPE and ALiBi, and how FIRE begins, for numpy (drawing) and torch (models); imports neither.

Sources: linear, position interpolation (arXiv:2306.15595); dynamic, NTK-aware scaling as in Hugging Face's
transformers; llama3, the Llama 3.1 release; yarn (arXiv:2309.00071), sections 3.2 to 3.4; p-RoPE (arXiv:2410.06205);
ALiBi (arXiv:2108.12409); FIRE (arXiv:2310.04418).
"""

from __future__ import annotations

import math
from typing import Any

from terrarium.models.settings.model_config import ModelConfig

FIRE_C = 0.1
"""The rate of FIRE's logarithm in a new model, as in the authors' code."""


def rope_base(config: ModelConfig, length: int) -> float:
    """Return RoPE's base for a text of `length` tokens; only dynamic scaling depends on the length."""
    original, width, factor = config.rope_original_context, config.head_dim, config.rope_factor
    if config.rope_scaling != "dynamic" or length <= original:
        return config.rope_theta
    growth = factor * length / original - (factor - 1)
    return config.rope_theta * float(growth ** (width / (width - 2)))


def scale_frequencies(plain: Any, pairs: Any, config: ModelConfig) -> Any:
    """Scale the radians per token of each pair (D/2) according to config.rope_scaling; 0 for pairs that do not rotate.

    Args:
        plain: the unscaled frequencies. pairs: 0, 1, 2 … D/2 - 1. Both are float32 numpy arrays or tensors.
    """
    found = _apply_scaling(plain, pairs, config)
    return found if config.rope_fraction == 1.0 else found * (pairs < n_rotated_pairs(config))


def n_rotated_pairs(config: ModelConfig) -> int:
    """Return the number of rotated pairs per head, the fastest: p-RoPE does not rotate the slow ones
    (arXiv:2410.06205)."""
    return round(config.rope_fraction * (config.head_dim // 2))


def _apply_scaling(plain: Any, pairs: Any, config: ModelConfig) -> Any:
    factor = config.rope_factor
    if config.rope_scaling == "linear":
        return plain / factor
    if config.rope_scaling == "llama3":
        turns = config.rope_original_context * plain / (2 * math.pi)
        low, high = config.rope_low_rotations, config.rope_high_rotations
        kept = ((turns - low) / (high - low)).clip(0, 1)  # 1 = unscaled, 0 = fully scaled
    elif config.rope_scaling == "yarn":
        first, last = yarn_ramp(config)
        kept = 1 - ((pairs - first) / (last - first or 0.001)).clip(0, 1)
    else:
        return plain
    return plain / factor * (1 - kept) + plain * kept


def alibi_slopes(n_head: int) -> list[float]:
    """Compute the penalty of each head per token of distance (ALiBi, arXiv:2108.12409, and its code).

    For a power of two, a geometric series from 2^(-8/n); for other numbers of heads, that of the next lower power of
    two, followed by every other slope of the series for twice that power.
    """

    def series(n: int) -> list[float]:
        return [2.0 ** (-8.0 * (i + 1) / n) for i in range(n)]

    power = 2 ** math.floor(math.log2(n_head))
    return series(power) + series(2 * power)[0::2][: n_head - power]


def fire_threshold(config: ModelConfig) -> float:
    """Return the position up to which FIRE's distances are not relative to the text, in a new model."""
    return max(config.context_length / 4, 1.0)


def yarn_ramp(config: ModelConfig) -> tuple[int, int]:
    """Return YaRN's ramp (first, last pair): pairs before it are not scaled, those after it fully."""
    first = math.floor(_pair_with_rotations(config, config.rope_high_rotations))
    last = math.ceil(_pair_with_rotations(config, config.rope_low_rotations))
    return max(first, 0), min(last, config.head_dim - 1)


def attention_factor(config: ModelConfig) -> float:
    """Return the factor of rotated queries and keys: 1 except for YaRN."""
    if config.rope_scaling != "yarn":
        return 1.0
    return config.rope_attention_factor or 0.1 * math.log(config.rope_factor) + 1.0


def _pair_with_rotations(config: ModelConfig, rotations: float) -> float:
    """Return the fractional index of the pair that makes this many rotations within the original context.

    Clamped to ± head_dim, since beyond that all pairs are on the same side.
    """
    width = config.head_dim
    if rotations <= 0:
        return width
    reach = math.log(config.rope_original_context / (rotations * 2 * math.pi))
    slowing = 2 * math.log(config.rope_theta)  # 0 = all pairs turn equally fast
    pair = width * reach / slowing if slowing else math.copysign(width, reach)
    return max(-width, min(pair, width))
