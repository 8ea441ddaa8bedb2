"""What one update of a run really reads and costs, from the lengths of its rows. No torch import."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from terrarium.models import cost
from terrarium.models.cost.operations import SPARSE_BELOW
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import TrainConfig
from terrarium.models.settings.tune_spec import TuneSpec
from terrarium.models.training.proposal.facts import ITEMS, PACKED, DataFacts

_POOL_BATCHES = 16
"""Batches whose rows are sorted by length together (models.data.epoch_permutations)."""


@dataclass(frozen=True, kw_only=True)
class StepShape:
    """An update of the weights: `accumulation` batches of `rows` texts, each of them as long as its longest one.

    length: of the rows of a batch, with their padding, on average; longest: of the batch that is largest, with
    `most_rows`. n_tokens: tokens in an update, without padding. loss_fraction: of the places, the part whose logits are
    computed: neither padding nor what a reply answers, where that is much (SPARSE_BELOW). per_epoch: updates in which
    all training data is read once; None where that is not known.
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
        """Tokens of an update, padding included: what it costs."""
        return self.accumulation * self.rows * self.length


def text_length(model: ModelConfig, tune: TuneSpec | None) -> int:
    """The largest number of tokens of a text in training, as RunSpec.text_length."""
    return model.context_length if tune is None else min(model.context_length, tune.max_length)


def step_shape(facts: DataFacts | None, model: ModelConfig, train: TrainConfig, tune: TuneSpec | None) -> StepShape:
    """The updates of a run; without facts, as for one long text."""
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
    """The setting `batch_size` with which a batch has about so many rows."""
    if facts.unit != PACKED:
        return rows
    width = text_length(model, tune)
    lengths = [min(length, width) for length in facts.lengths]
    return max(1, round(rows * sum(lengths) / len(lengths) / width))


def update_flops(shape: StepShape, model: ModelConfig, train: TrainConfig, tune: TuneSpec | None) -> float:
    """FLOPs of the matrix products of an update, forward and backward."""
    factor = cost.training_factor(model, tune, recomputes=train.activation_checkpointing)
    skipped = (1 - shape.loss_fraction) * cost.operations_of_targets(model)
    forward = cost.flops_per_token(model, shape.length) - skipped
    return shape.n_places * forward * factor


def _padded_lengths(lengths: Sequence[int], size: int, n_rows: int) -> list[int]:
    """The lengths of the batches of a pool that has all lengths as often as the data: each that of its longest row."""
    n = size * max(1, min(n_rows // size, _POOL_BATCHES))  # the rows that are left over are others in every epoch
    pool = [lengths[int((i + 0.5) * len(lengths) / n)] for i in range(n)]
    pool[-1] = lengths[-1]
    return [pool[end - 1] for end in range(size, n + 1, size)]
