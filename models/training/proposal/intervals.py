"""How often a run is validated, sampled and saved, from its number of steps. No torch import."""

from __future__ import annotations

import dataclasses
from typing import Any

from terrarium.models.settings.run_spec import TrainConfig

N_TIMES = 10
"""How often a run is validated, sampled and saved: enough to see a curve, and to find its lowest point."""
FEWEST, MOST = 5, 40
"""How often an interval may fit into the steps to come for a run to keep it, at least and at most."""
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
    """The intervals of a run of so many steps: settings of TrainConfig, as {name: steps}.

    They are the same for all, so that each checkpoint has its validation and its samples, and the best one is kept.
    """
    return dict.fromkeys(_FOLLOWING, round_number(steps / N_TIMES))


def lengthened(train: TrainConfig, steps: int, since: int = 0) -> TrainConfig:
    """The settings of a run that is to have `steps` in all, of which those after the step `since` are to come.

    Its intervals follow where the old ones would come too rarely, or far too often, in what is to come. What is never
    done (0) stays so, and with as many steps as before everything does.
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
