"""What stretching a rotary embedding comes down to, as plain numbers. No torch import.

Source: YaRN (arXiv:2309.00071), sections 3.2 to 3.4.
"""

from __future__ import annotations

import math

from models.settings.model_config import ModelConfig


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
