"""Proposes the settings of a new run from its data, its model and this computer. No torch import.

A proposal is for users who have not chosen settings: a run that learns nearly all it can, or what fits into about ten
minutes. Rows are read for a number of epochs, one long text for a number of tokens.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from terrarium.models.design import total_parameters, training_memory
from terrarium.models.number_words import format_about, format_count
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import RunSpec, TokenizerSpec, TrainConfig
from terrarium.models.settings.tune_spec import TuneSpec, usual_train
from terrarium.models.training.proposal.facts import ITEMS, PACKED, TEXT, DataFacts
from terrarium.models.training.proposal.speed import Speed, run_seconds
from terrarium.models.training.proposal.step_shape import (
    StepShape,
    batch_size_for,
    step_shape,
    text_length,
    update_flops,
)
from terrarium.models.training.schedule import proposed_intervals, round_number

BUDGET_S = 600.0
"""The approximate maximum duration of a proposed run."""
LONGER = 10
"""How many times as long the alternative longer run takes."""

_SMALL = 1_000_000
"""Parameters up to which a fine-tuning is as long as a training from scratch."""
_TOKENS_PER_PARAMETER = 6
"""Tokens of a text per parameter, for a model from scratch: 5 M tokens for the preset terrarium-tiny."""
_MOST_TEXT_EPOCHS = {"scratch": 20.0, "tuned": 3.0}
"""The maximum epochs of a short text: after more, the validation loss rises."""
_UPDATES = {"scratch": 1500.0, "tuned": 300.0}
_EPOCHS = {"scratch": (3.0, 20.0), "tuned": (2.0, 6.0)}
"""The minimum and maximum epochs of rows; in between, the square root of `_UPDATES` / batches per epoch."""
_FEWEST_UPDATES = 30
"""The number of updates for which a large model's batch is made smaller, so that they fit into the time."""
_LARGE_TEXT = 10_000_000
"""Bytes above which a text has enough frequent pieces for a larger vocabulary. A small text needs 1,024 as well: 240
reviews were labelled right in 59 of 100 cases with 512 tokens, in 63 with 1,024, and in 64 with 2,048 (measured).
"""
_MEMORY_SHARE, _MOST_BYTES = 0.5, 4 << 30
"""The share of the free memory, and the bytes, that a step may take: other programs and the window need the rest."""
_LENGTH_SHARE = 0.98
"""The share of texts that are read whole; longer ones are truncated."""
_EVALUATION_SHARE = 0.2
"""The share of a run's time that its validations may take."""


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """Settings of TrainConfig and TuneSpec that follow from data, model or computer.

    is_cut: whether the run ends before everything is learned, because more would take longer than BUDGET_S.
    """

    train: Mapping[str, Any]
    tune: Mapping[str, Any] = field(default_factory=dict)
    is_cut: bool = False


def propose(
    spec: RunSpec,
    facts: DataFacts | None,
    speed: Speed | None,
    free_bytes: int | None,
    kept: Collection[str] = (),
) -> Proposal:
    """Propose the settings of a run with the model, data and mode of `spec`; not for an alignment.

    Args:
        facts: None if unknown, as for a text that is not made yet.
        speed: the measured speed; None: no time limit on the steps.
        free_bytes: the memory available to a training; None if unknown.
        kept: the settings of TrainConfig that the user has chosen. Others follow from them; for these settings
            themselves, the proposal has what would be proposed.
    """
    assert spec.align is None
    model, tune, train = spec.model, spec.tune, dataclasses.replace(spec.train, grad_accum_steps=1)
    chosen = {name: getattr(spec.train, name) for name in kept}
    changes: dict[str, Any] = {}
    is_new = tune is None
    if tune is not None:
        changes = usual_train(tune.mode, total_parameters(model))
    if facts is None or not facts.n_tokens:
        wanted = int(changes.get("steps", TrainConfig().steps))
        shape = step_shape(None, model, dataclasses.replace(train, **changes | chosen), tune)
        steps = _fitting(wanted, update_flops(shape, model, train, tune), speed)
        in_all = chosen.get("steps", steps)
        changes |= {"steps": steps} | proposed_intervals(in_all)
        changes["eval_batches"] = _eval_batches(None, shape, in_all, changes["eval_interval"])
        return Proposal(train=changes, is_cut=steps < wanted)
    kind = "scratch" if is_new or total_parameters(model) <= _SMALL else "tuned"
    of_tune: dict[str, Any] = {} if tune is None else {"max_length": _max_length(facts, model)}
    if tune is not None:
        tune = dataclasses.replace(tune, **of_tune)
    changes |= _batch(
        facts, model, dataclasses.replace(train, **changes | _of_memory(chosen)), tune, kind, speed, free_bytes
    )
    train = dataclasses.replace(train, **changes | chosen)
    shape = step_shape(facts, model, train, tune)
    wanted = max(1, math.ceil(_wanted_steps(facts, model, shape, kind)))
    wanted = round_number(wanted) if wanted > 10 else wanted
    steps = _fitting(wanted, update_flops(shape, model, train, tune), speed)
    in_all = chosen.get("steps", steps)
    changes |= {"steps": steps, "warmup_steps": min(TrainConfig().warmup_steps, in_all // 8)}
    changes |= proposed_intervals(in_all)
    changes["eval_batches"] = _eval_batches(facts, shape, in_all, changes["eval_interval"])
    if facts.prompts:
        changes["prompts"] = facts.prompts
    return Proposal(train=changes, tune=of_tune, is_cut=steps < wanted)


def prolonged(train: TrainConfig, times: int = LONGER) -> dict[str, Any]:
    """Return the settings of TrainConfig for a run `times` times as long."""
    steps = min(train.steps * times, 1_000_000_000)
    intervals = proposed_intervals(steps)
    return {"steps": steps} | {name: value for name, value in intervals.items() if getattr(train, name)}


def describe_reading(facts: DataFacts | None, epochs: float | None) -> str:
    """Describe how much a run reads: “10 times through your 216 rows”; "" if unknown."""
    if facts is None or epochs is None:
        return ""
    what = "your text" if facts.unit == TEXT else f"your {format_count(facts.n_rows, 'row')}"
    if epochs < 0.95:
        part = f"{round(100 * epochs)} %" if epochs >= 0.01 else "less than 1 %"
        return f"{part} of your text" if facts.unit == TEXT else f"{round(epochs * facts.n_rows):,} of {what}"
    times = f"{epochs:.1f}".removesuffix(".0") if epochs < 3 else f"{epochs:.0f}"
    return f"once through {what}" if times == "1" else f"{times} times through {what}"


def describe_packing(spec: RunSpec, facts: DataFacts | None) -> str:
    """Describe a step of rows packed by tokens, which `batch_size` does not: how many rows it reads, and how many are
    truncated; "" for other data.
    """
    if facts is None or facts.unit != PACKED:
        return ""
    shape, width = step_shape(facts, spec.model, spec.train, spec.tune), text_length(spec.model, spec.tune)
    words = f"A step reads about {format_count(shape.accumulation * shape.rows, 'row')}."
    n_cut = math.ceil(sum(length > width for length in facts.lengths) / len(facts.lengths) * facts.n_rows)
    if n_cut:
        most = "the longest text of this run" if width < spec.model.context_length else "the context"
        words += f" {n_cut:,} of {facts.n_rows:,} are longer than {most}, {width:,} tokens, and will be cut."
    return words


def describe_length(seconds: float | None, facts: DataFacts | None, epochs: float | None) -> str:
    """Describe a run's duration: “about 40 s: 10 times through your 216 rows”; parts that are unknown are left out."""
    reading = describe_reading(facts, epochs)
    if seconds is None:
        return reading[:1].upper() + reading[1:]
    return f"{format_about(seconds)}{': ' if reading else ''}{reading}"


def seconds_of(spec: RunSpec, facts: DataFacts | None, speed: Speed) -> float:
    """Estimate the seconds of a run, with its validations and samples."""
    shape = step_shape(facts, spec.model, spec.train, spec.tune)
    return run_seconds(spec, shape, facts, speed)


def epochs_of(spec: RunSpec, facts: DataFacts | None) -> float | None:
    """Return how often a run reads all of its data, None if unknown."""
    per_epoch = step_shape(facts, spec.model, spec.train, spec.tune).per_epoch
    return None if per_epoch is None else spec.train.steps / per_epoch


def proposed_tokenizer(model: ModelConfig, n_bytes: int | None) -> TokenizerSpec:
    """Propose a new tokenizer for a model from scratch on `n_bytes` of text (None: unknown)."""
    if model.has_ngrams:
        return TokenizerSpec(kind="byte")
    return TokenizerSpec(kind="bpe", vocab_size=2048 if (n_bytes or 0) >= _LARGE_TEXT else 1024)


def _of_memory(chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Return the chosen settings that affect the memory of a step."""
    names = ("optimizer", "precision", "activation_checkpointing", "state_dtype")
    return {name: chosen[name] for name in names if name in chosen}


def _max_length(facts: DataFacts, model: ModelConfig) -> int:
    """Return the longest text length to read, which covers nearly all rows."""
    most = TuneSpec(parent="-").max_length
    if facts.lengths:
        longest = facts.lengths[min(len(facts.lengths) - 1, math.ceil(_LENGTH_SHARE * len(facts.lengths)))]
        most = min(most, max(16, 8 * math.ceil(longest / 8)))
    elif total_parameters(model) > _SMALL:
        most = most // 2
    return min(most, max(8, model.context_length))


def _batch(
    facts: DataFacts,
    model: ModelConfig,
    train: TrainConfig,
    tune: TuneSpec | None,
    kind: str,
    speed: Speed | None,
    free_bytes: int | None,
) -> dict[str, Any]:
    """Choose the batch size: for the data, then for the time, then for the memory."""
    rows = _rows_wanted(facts, model, tune, kind)

    def at(rows: int) -> tuple[TrainConfig, StepShape]:
        sized = dataclasses.replace(train, batch_size=batch_size_for(rows, facts, model, tune))
        return sized, step_shape(facts, model, sized, tune)

    if speed is not None:
        while (
            rows > 1 and _FEWEST_UPDATES * speed.step_seconds(update_flops(at(rows)[1], model, train, tune)) > BUDGET_S
        ):
            rows = max(1, rows // 2)
    limit = min(_MOST_BYTES, _MEMORY_SHARE * free_bytes) if free_bytes is not None else _MOST_BYTES
    accumulation, micro = 1, rows
    while micro > 1 and step_memory(model, at(micro)[1], train, tune) > limit:
        micro, accumulation = micro // 2, accumulation * 2
    return {"batch_size": at(micro)[0].batch_size, "grad_accum_steps": accumulation}


def _rows_wanted(facts: DataFacts, model: ModelConfig, tune: TuneSpec | None, kind: str) -> int:
    """Return the wanted number of texts in a batch."""
    if facts.unit == TEXT:
        in_text = facts.n_tokens / text_length(model, tune)
        return 4 if kind == "tuned" else 8 if in_text < 40 * TrainConfig().batch_size else TrainConfig().batch_size
    if facts.n_rows < 100:
        return 8
    if facts.unit != ITEMS and kind == "scratch" and facts.n_rows > 4000:
        return max(16, round(TrainConfig().batch_size * text_length(model, tune) * facts.n_rows / facts.n_tokens))
    return 8 if kind == "tuned" and facts.n_rows < 1000 else 16 if facts.n_rows < 4000 else 32


def _wanted_steps(facts: DataFacts, model: ModelConfig, shape: StepShape, kind: str) -> float:
    """Return the number of updates after which nearly everything is learned."""
    assert shape.per_epoch is not None
    if facts.unit == TEXT or (kind == "scratch" and facts.unit != ITEMS and facts.n_rows > 4000):
        budget = _TOKENS_PER_PARAMETER * total_parameters(model)
        tokens = min(budget, _MOST_TEXT_EPOCHS[kind] * facts.n_tokens)
        return tokens / shape.n_tokens
    fewest, most = _EPOCHS[kind]
    epochs = min(max(math.sqrt(_UPDATES[kind] / shape.per_epoch), fewest), most)
    return epochs * shape.per_epoch


def _eval_batches(facts: DataFacts | None, shape: StepShape, steps: int, interval: int) -> int:
    """Return the number of batches of a validation: the default, or fewer if they would take too much of the time.

    A batch that is only read, and scored again, costs about two thirds of a training batch.
    """
    n_times = 2 + steps // interval
    affordable = _EVALUATION_SHARE * steps * shape.accumulation / n_times * 1.5
    n_rows = facts.n_val_rows if facts is not None else 0
    there = math.ceil(n_rows / shape.rows) if n_rows else TrainConfig().eval_batches
    return max(1, min(TrainConfig().eval_batches, there, math.ceil(affordable)))


def _fitting(wanted: int, flops: float, speed: Speed | None) -> int:
    """Return `wanted` updates of `flops` operations, or as many as fit into BUDGET_S with their validations."""
    if speed is None:
        return wanted
    fitting = max(1, int(BUDGET_S / (1 + _EVALUATION_SHARE / 2) / speed.quiet_seconds(flops)))
    return wanted if fitting >= wanted else _rounded_down(fitting)


def _rounded_down(n: int) -> int:
    """Return a round number near `n` that is not larger."""
    return next((near for share in (1.0, 0.9, 0.8) if (near := round_number(share * n)) <= n), n)


def step_memory(
    model: ModelConfig,
    shape: StepShape,
    train: TrainConfig,
    tune: TuneSpec | None,
    device: str = "cpu",
    precision: str = "float32",
) -> int:
    """Estimate the memory of the largest step in bytes."""
    return sum(step_memory_parts(model, shape, train, tune, device, precision).values())


def step_memory_parts(
    model: ModelConfig,
    shape: StepShape,
    train: TrainConfig,
    tune: TuneSpec | None,
    device: str = "cpu",
    precision: str = "float32",
) -> dict[str, int]:
    """As `step_memory`, by purpose (models.design.memory)."""
    return training_memory(
        model,
        shape.most_rows,
        shape.longest,
        train.optimizer,
        loss_fraction=shape.loss_fraction,
        device=device,
        precision=precision if train.precision == "auto" else train.precision,
        tune=tune,
        recomputes=train.activation_checkpointing,
        accumulates=shape.accumulation > 1,
        state_dtype=train.state_dtype,
    )
