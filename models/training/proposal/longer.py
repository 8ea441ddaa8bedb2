"""Training a run longer than planned: whether it is possible, from which step, with which settings. No torch import."""

from __future__ import annotations

import dataclasses
import re

from terrarium.models.library.library import Library
from terrarium.models.library.run_record import RunInfo, inspect_run, last_saved_step
from terrarium.models.runs.fork import fork_run
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.run_spec import TrainConfig
from terrarium.models.training.schedule import lengthened, lr_factor

_MUCH_LOWER = 0.5
"""Below this share of the new learning rate, the loss rises for a while."""
_TRAINED_LONGER = re.compile(r", [\d,]+ steps$")


def why_not_longer(info: RunInfo) -> str:
    """Return the reason why a run cannot be trained longer; "" if it can."""
    if info.problem:
        return info.problem
    if info.status == "imported":
        return (
            f"“{info.name}” was imported without the state of its optimizer, so its training cannot continue where it "
            "ended. Fine-tune it instead: that is a new training, from its weights."
        )
    if info.status == "running":
        return f"“{info.name}” is still training: wait until it ends, or stop it."
    if not last_saved_step(info.folder):
        return f"“{info.name}” has no checkpoint yet, so there is nothing to continue from."
    return ""


def longer(train: TrainConfig, step: int, steps: int) -> TrainConfig:
    """Return the settings of a run that continues from its checkpoint of `step`, to `steps` in all.

    Validations, samples and checkpoints follow the new length, and so does the learning rate: if it had fallen, it
    rises again. A new warm-up and a schedule for the remaining steps alone end at the same loss (0.168 against 0.166
    nats, after 500 and 500 more steps of Tiny World), and are far too much for a few more steps.

    Patience is 0: all requested steps are trained, and the best checkpoint is kept anyway. The lowest loss so far was
    reached after the rate had fallen, so no validation is lower until it has fallen as far again, near the end: early
    stopping would end the run before that, however good it would become.
    """
    return dataclasses.replace(lengthened(train, steps, since=step), patience=0)


def rate_rises(train: TrainConfig, step: int, steps: int) -> bool:
    """Whether the learning rate of a continued run is much higher after the checkpoint of `step` than before it."""
    return lr_factor(max(0, step - 1), train) < _MUCH_LOWER * lr_factor(step, longer(train, step, steps))


def fork_longer(library: Library, source: RunFolder, steps: int | None = None, name: str | None = None) -> RunFolder:
    """Create a queued run that continues from the last checkpoint of `source`, to `steps` in all; None: twice as
    many.

    Raises:
        ValueError: if it cannot be trained longer, or as fork_run.
    """
    if problem := why_not_longer(inspect_run(source.folder)):
        raise ValueError(problem)
    step = last_saved_step(source.folder)
    steps = 2 * step if steps is None else steps
    name = name or library.free_run_name(longer_name(source.name, steps))
    return fork_run(library, source, step, name=name, train=longer(source.spec.train, step, steps))


def longer_name(name: str, steps: int) -> str:
    """Return the name of a run that continues to `steps` steps: “Tiny World, 3,000 steps”."""
    return f"{_TRAINED_LONGER.sub('', name)}, {steps:,} steps"


def measured_seconds(info: RunInfo, steps: int) -> float | None:
    """Return the seconds of `steps` steps at the run's own measured speed; None if unknown."""
    if not info.elapsed_s or not info.step:
        return None
    return info.elapsed_s / info.step * steps
