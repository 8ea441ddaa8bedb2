"""The training speed of a model on this computer, and the duration of a run at that speed. No torch import."""

from __future__ import annotations

from dataclasses import dataclass

from terrarium.models.design import training_factor
from terrarium.models.events import Event
from terrarium.models.settings.run_spec import RunSpec
from terrarium.models.training.proposal.facts import ITEMS, DataFacts
from terrarium.models.training.proposal.step_shape import StepShape, update_flops
from terrarium.models.training.schedule import times_due

_MOST_OTHERS = 0.95


@dataclass(frozen=True, kw_only=True)
class Speed(Event):
    """The speed of a model's training, measured by a few steps on random tokens.

    base_s: the fixed seconds of an update, independent of its size. flops_per_s: the speed beyond that. token_s: the
    seconds to generate one more token of a sample. others: the share of the computer that other programs used during
    the measurement.
    """

    base_s: float
    flops_per_s: float
    token_s: float
    others: float = 0.0

    def step_seconds(self, flops: float) -> float:
        """Return the seconds of an update of `flops` operations."""
        return self.base_s + flops / self.flops_per_s

    def quiet_seconds(self, flops: float) -> float:
        """As `step_seconds`, without other programs: a busy computer should not make a run learn less."""
        return self.step_seconds(flops) * (1 - min(self.others, _MOST_OTHERS))


def run_seconds(spec: RunSpec, shape: StepShape, facts: DataFacts | None, speed: Speed) -> float:
    """Estimate the seconds of a run: its steps, validations and samples, without loading and saving.

    A validation costs the forward part of a step, and at least the time of a token; for rows with labels it reads
    them once more, for the metric.
    """
    train = spec.train
    flops = update_flops(shape, spec.model, train, spec.tune)
    seconds = train.steps * speed.step_seconds(flops)
    if train.eval_interval:
        forward = flops / shape.accumulation / training_factor(spec.model, spec.tune)
        n_rows = facts.n_val_rows if facts is not None and facts.n_val_rows else train.eval_batches * shape.rows
        n_batches = min(train.eval_batches, n_rows / shape.rows)
        n_passes = 2 if facts is not None and facts.unit == ITEMS else 1
        each = speed.token_s + forward / speed.flops_per_s
        seconds += times_due(train.steps, train.eval_interval) * n_batches * n_passes * each
    if train.sample_interval and train.prompts:
        n_tokens = train.sample_tokens if spec.model.head == "language" else 1
        n_times = times_due(train.steps, train.sample_interval, train.checkpoint_interval)
        seconds += n_times * len(train.prompts) * n_tokens * speed.token_s
    return seconds
