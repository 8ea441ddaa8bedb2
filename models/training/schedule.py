"""What is due at which step of a training: the learning rate, evaluations, samples, checkpoints. No torch import."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from terrarium.models.settings.run_spec import TrainConfig

DECAY_SHARE = 0.4
"""Share of the steps after warm-up in which “wsd” (warm-up, stable, decay; Hu et al., 2024, MiniCPM) decays."""
_N_TIMES = 10
"""How often a run is validated, sampled and saved: enough to show a curve, and to find its lowest point."""
_FEWEST, _MOST = 5, 40
"""The minimum and maximum number of times that an existing interval may fit into the remaining steps to be retained."""
_ROUND = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10)
_FOLLOWING = ("eval_interval", "sample_interval", "checkpoint_interval")


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


def round_number(n: float) -> int:
    """The round number nearest to `n`, at least 1: 1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30 …"""
    power = 1
    while power * 10 <= n:
        power *= 10
    fitting = (power * factor for factor in _ROUND if power * factor == int(power * factor))
    return int(min(fitting, key=lambda each: abs(each - n)))


def proposed_intervals(steps: int) -> dict[str, int]:
    """Return the intervals of a run of `steps` steps: settings of TrainConfig, as {name: steps}.

    They are all the same, so that each checkpoint has its validation and its samples, and the best one is kept.
    """
    return dict.fromkeys(_FOLLOWING, round_number(steps / _N_TIMES))


def lengthened(train: TrainConfig, steps: int, since: int = 0) -> TrainConfig:
    """Return the settings of a run with `steps` in all, of which those after step `since` remain.

    An interval changes if it would be too rare or far too frequent in the remaining steps. An interval of 0 (never) is
    unchanged, and with as many steps as before so is everything.
    """
    if steps == train.steps:
        return train
    proposed = proposed_intervals(steps - since)
    changes: dict[str, Any] = {
        name: proposed[name]
        for name in _FOLLOWING
        if (interval := getattr(train, name)) and not _FEWEST <= (steps - since) / interval <= _MOST
    }
    return dataclasses.replace(train, steps=steps, **changes)
