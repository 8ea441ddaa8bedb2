"""Training a run longer than was planned: why it cannot be, from which step, with which settings. No torch import."""

from __future__ import annotations

import dataclasses
import re

from models.library.library import Library
from models.library.run_record import RunInfo, inspect_run, last_saved_step
from models.runs.fork import fork_run
from models.runs.run_folder import RunFolder
from models.settings.run_spec import TrainConfig
from models.training.proposal.intervals import lengthened
from models.training.schedule import lr_factor

_MUCH_LOWER = 0.5
"""Below this share of the rate that it would jump to, a rate needs a warm-up."""
_TRAINED_LONGER = re.compile(r", [\d,]+ steps$")


def why_not_longer(info: RunInfo) -> str:
    """Why a run cannot be trained longer, in a sentence; "" where it can."""
    if info.problem:
        return info.problem
    if info.status == "imported":
        return (
            f"“{info.name}” was imported without the state of its optimizer, so its training cannot go on where it "
            "ended. Fine-tune it instead: that is a new training, from its weights."
        )
    if not last_saved_step(info.folder):
        return f"“{info.name}” has no checkpoint yet, so there is nothing to go on from."
    return ""


def longer(train: TrainConfig, step: int, steps: int) -> TrainConfig:
    """The settings of a run that goes on from its checkpoint of `step`, to `steps` in all.

    Validations, samples and checkpoints follow the new length. The learning rate follows its schedule, stretched to
    that length; where it had fallen far below that, the steps to come have a schedule of their own instead, with a
    warm-up and a decay (Ibrahim et al., 2024, “Simple and Scalable Strategies to Continually Pre-train”).
    """
    stretched = lengthened(train, steps, since=step)
    if lr_factor(max(0, step - 1), train) >= _MUCH_LOWER * lr_factor(step, stretched):
        return stretched
    warmup = min(train.warmup_steps, (steps - step) // 4)
    return dataclasses.replace(stretched, schedule_start=step, warmup_steps=warmup)


def fork_longer(library: Library, source: RunFolder, steps: int | None = None, name: str | None = None) -> RunFolder:
    """A queued run that goes on from the last checkpoint of `source`, to `steps` in all; None: for as long again.

    Raises:
        ValueError: where it cannot be trained longer, or as fork_run.
    """
    if problem := why_not_longer(inspect_run(source.folder)):
        raise ValueError(problem)
    step = last_saved_step(source.folder)
    steps = 2 * step if steps is None else steps
    name = name or library.free_run_name(longer_name(source.name, steps))
    return fork_run(library, source, step, name=name, train=longer(source.spec.train, step, steps))


def longer_name(name: str, steps: int) -> str:
    """What a run is called that goes on to so many steps: “Tiny World, 3,000 steps”."""
    return f"{_TRAINED_LONGER.sub('', name)}, {steps:,} steps"


def measured_seconds(info: RunInfo, steps: int) -> float | None:
    """How long so many steps take at the run's own measured speed; None where that is not known."""
    if not info.elapsed_s or not info.step:
        return None
    return info.elapsed_s / info.step * steps
