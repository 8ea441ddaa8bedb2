"""What is due at which step of a training, as pure functions: the learning rate, evaluations. No torch import."""

from __future__ import annotations

import math

from terrarium.models.settings.run_spec import TrainConfig

DECAY_SHARE = 0.4
"""Share of the steps after warm-up in which “wsd” (warm-up, stable, decay; Hu et al., 2024, MiniCPM) decays."""


def lr_factor(step: int, train: TrainConfig) -> float:
    """Return the factor, in [0, 1], of the base learning rate for the update after `step` updates.

    It rises linearly for `warmup_steps`, then falls to `min_lr_ratio` at the last update, or stays at 1 (“constant”).
    """
    if step < train.warmup_steps:
        return (step + 1) / train.warmup_steps
    if train.schedule == "constant":
        return 1.0
    progress = min(1.0, (step - train.warmup_steps) / max(1, train.steps - 1 - train.warmup_steps))
    match train.schedule:
        case "cosine":
            left = (1 + math.cos(math.pi * progress)) / 2
        case "wsd":
            left = min(1.0, (1 - progress) / DECAY_SHARE)
        case _:
            left = 1 - progress
    return train.min_lr_ratio + (1 - train.min_lr_ratio) * left


def times_due(steps: int, *intervals: int) -> int:
    """Count how often an action is due at step 0, at every multiple of one or two intervals, and at the end."""
    both = steps // math.lcm(*intervals) if len(intervals) == 2 else 0
    at_end = all(steps % interval for interval in intervals)
    return 1 + sum(steps // interval for interval in intervals) - both + at_end
