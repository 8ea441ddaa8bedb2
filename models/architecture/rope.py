"""The arithmetic of positions that numpy (for pictures) and torch (for models) share. No import of either.

Sources: linear, position interpolation (arXiv:2306.15595); dynamic, NTK-aware scaling as in Hugging Face's
transformers; llama3, the Llama 3.1 release; yarn (arXiv:2309.00071), sections 3.2 to 3.4; p-RoPE (arXiv:2410.06205);
ALiBi (arXiv:2108.12409).
"""

from __future__ import annotations

import math
from typing import Any

from models.settings.model_config import ModelConfig


def rope_base(config: ModelConfig, length: int) -> float:
    """What frequencies are powers of, for a text of `length` tokens: that matters to dynamic scaling only."""
    original, width, factor = config.rope_original_context, config.head_dim, config.rope_factor
    if config.rope_scaling != "dynamic" or length <= original:
        return config.rope_theta
    growth = factor * length / original - (factor - 1)
    return config.rope_theta * float(growth ** (width / (width - 2)))


def stretched(plain: Any, pairs: Any, config: ModelConfig) -> Any:
    """Radians per token of each pair (D/2), slowed down as config.rope_scaling says; 0 for those that do not rotate.

    Args:
        plain: those of `rope_base`. pairs: 0, 1, 2 … D/2 - 1. Both are arrays of numpy or tensors, in float32.
    """
    found = _slowed(plain, pairs, config)
    return found if config.rope_fraction == 1.0 else found * (pairs < n_rotated(config))


def n_rotated(config: ModelConfig) -> int:
    """Pairs of a head that rotate, the fastest first: p-RoPE leaves the slow ones as they are (arXiv:2410.06205)."""
    return round(config.rope_fraction * (config.head_dim // 2))


def _slowed(plain: Any, pairs: Any, config: ModelConfig) -> Any:
    factor = config.rope_factor
    if config.rope_scaling == "linear":
        return plain / factor
    if config.rope_scaling == "llama3":
        turns = config.rope_original_context * plain / (2 * math.pi)
        low, high = config.rope_low_rotations, config.rope_high_rotations
        kept = ((turns - low) / (high - low)).clip(0, 1)  # 1 = as it is, 0 = slowed down in full
    elif config.rope_scaling == "yarn":
        first, last = yarn_edges(config)
        kept = 1 - ((pairs - first) / (last - first or 0.001)).clip(0, 1)
    else:
        return plain
    return plain / factor * (1 - kept) + plain * kept


def alibi_slopes(n_head: int) -> list[float]:
    """By how much each head's scores sink per token of distance (ALiBi, appendix of its code).

    A geometric series from 2^(-8/n) for a power of two; other numbers of heads take every other one of the next series.
    """

    def series(n: int) -> list[float]:
        return [2.0 ** (-8.0 * (i + 1) / n) for i in range(n)]

    power = 2 ** math.floor(math.log2(n_head))
    return series(power) + series(2 * power)[0::2][: n_head - power]


def yarn_edges(config: ModelConfig) -> tuple[int, int]:
    """Between which pairs yarn's ramp runs: those before the first stay as they are, those after the last slow down."""
    first = math.floor(_pair_that_turns(config, config.rope_high_rotations))
    last = math.ceil(_pair_that_turns(config, config.rope_low_rotations))
    return max(first, 0), min(last, config.head_dim - 1)


def attention_factor(config: ModelConfig) -> float:
    """What rotated queries and keys are multiplied by: 1 but for yarn."""
    if config.rope_scaling != "yarn":
        return 1.0
    return config.rope_attention_factor or 0.1 * math.log(config.rope_factor) + 1.0


def _pair_that_turns(config: ModelConfig, rotations: float) -> float:
    """The index of the pair, as a fraction, that turns so many times within the original context.

    It is kept within ± head_dim, beyond which all pairs lie on one side.
    """
    width = config.head_dim
    if rotations <= 0:
        return width
    reach = math.log(config.rope_original_context / (rotations * 2 * math.pi))
    slowing = 2 * math.log(config.rope_theta)  # 0 = all pairs turn equally fast
    pair = width * reach / slowing if slowing else math.copysign(width, reach)
    return max(-width, min(pair, width))
