"""How often a run is validated, sampled and saved, from its number of steps. No torch import."""

from __future__ import annotations

import dataclasses
from typing import Any

from terrarium.models.settings.run_spec import TrainConfig

N_TIMES = 10
"""How often a run is validated, sampled and saved: enough to show a curve, and to find its lowest point."""
FEWEST, MOST = 5, 40
"""The minimum and maximum number of times that an existing interval may fit into the remaining steps to be retained."""
_ROUND = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10)
_FOLLOWING = ("eval_interval", "sample_interval", "checkpoint_interval")


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
    return dict.fromkeys(_FOLLOWING, round_number(steps / N_TIMES))


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
        if (interval := getattr(train, name)) and not FEWEST <= (steps - since) / interval <= MOST
    }
    return dataclasses.replace(train, steps=steps, **changes)
