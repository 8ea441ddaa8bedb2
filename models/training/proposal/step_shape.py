"""The shape and cost of one update of a run, from the lengths of its rows. No torch import."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from terrarium.models.design import flops_per_token, operations_of_targets, training_factor
from terrarium.models.design.operations import SPARSE_BELOW
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import TrainConfig
from terrarium.models.settings.tune_spec import TuneSpec
from terrarium.models.training.proposal.facts import ITEMS, PACKED, DataFacts

_POOL_BATCHES = 16
"""Batches whose rows are sorted by length together (models.data.epoch_permutations)."""


@dataclass(frozen=True, kw_only=True)
class StepShape:
    """An update of the weights: `accumulation` batches of `rows` texts, each padded to the longest of its batch.

    length: the average length of a batch's rows, with padding. longest: that of the largest batch, which has
    `most_rows`. n_tokens: tokens in an update, without padding. loss_fraction: the share of positions whose logits
    are computed; it leaves out padding and prompts if they are a large part (SPARSE_BELOW). per_epoch: updates per
    epoch; None if unknown.
    """

    rows: int
    length: int
    most_rows: int
    longest: int
    n_tokens: int
    accumulation: int = 1
    loss_fraction: float = 1.0
    per_epoch: float | None = None

    @property
    def n_places(self) -> int:
        """The tokens of an update, padding included, which determine its cost."""
        return self.accumulation * self.rows * self.length


def text_length(model: ModelConfig, tune: TuneSpec | None) -> int:
    """Return the maximum number of tokens of a training text, as RunSpec.text_length."""
    return model.context_length if tune is None else min(model.context_length, tune.max_length)


def step_shape(facts: DataFacts | None, model: ModelConfig, train: TrainConfig, tune: TuneSpec | None) -> StepShape:
    """Return the shape of a run's updates; without facts, as for one long text."""
    width, accumulation = text_length(model, tune), train.grad_accum_steps
    if facts is None or not facts.lengths:
        read = train.batch_size * width
        return StepShape(
            rows=train.batch_size,
            length=width,
            most_rows=train.batch_size,
            longest=width,
            n_tokens=accumulation * read,
            accumulation=accumulation,
            per_epoch=None if facts is None else max(1, facts.n_tokens - width) / (accumulation * read),
        )
    lengths = [min(length, width) for length in facts.lengths]
    mean = sum(lengths) / len(lengths)
    size = train.batch_size if facts.unit == ITEMS else max(1, int(train.batch_size * width / mean))
    size = min(size, facts.n_rows)
    padded = _padded_lengths(lengths, size, facts.n_rows)
    length = max(1, math.ceil(sum(padded) / len(padded)))
    counted = (1.0 if train.context_loss_weight else facts.reply_share) * mean / length
    return StepShape(
        rows=size,
        length=length,
        most_rows=size,
        longest=max(padded),
        n_tokens=round(accumulation * size * mean),
        accumulation=accumulation,
        loss_fraction=counted if counted < SPARSE_BELOW else 1.0,
        per_epoch=max(1, facts.n_rows // size) / accumulation,
    )


def batch_size_for(rows: int, facts: DataFacts, model: ModelConfig, tune: TuneSpec | None) -> int:
    """Return the setting `batch_size` with which a batch has about `rows` rows."""
    if facts.unit != PACKED:
        return rows
    width = text_length(model, tune)
    lengths = [min(length, width) for length in facts.lengths]
    return max(1, round(rows * sum(lengths) / len(lengths) / width))


def update_flops(shape: StepShape, model: ModelConfig, train: TrainConfig, tune: TuneSpec | None) -> float:
    """Return the FLOPs of the matrix products of an update, forward and backward."""
    factor = training_factor(model, tune, recomputes=train.activation_checkpointing)
    skipped = (1 - shape.loss_fraction) * operations_of_targets(model)
    forward = flops_per_token(model, shape.length) - skipped
    return shape.n_places * forward * factor


def _padded_lengths(lengths: Sequence[int], size: int, n_rows: int) -> list[int]:
    """Return the padded lengths of a pool's batches, whose rows are distributed like the data."""
    n = size * max(1, min(n_rows // size, _POOL_BATCHES))  # the rows that are left over are others in every epoch
    pool = [lengths[int((i + 0.5) * len(lengths) / n)] for i in range(n)]
    pool[-1] = lengths[-1]
    return [pool[end - 1] for end in range(size, n + 1, size)]
