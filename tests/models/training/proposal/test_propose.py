"""What is proposed for rows and texts of several sizes, for models of several sizes, on quick and slow computers."""

from __future__ import annotations

import dataclasses

import pytest

from terrarium.models.settings.presets import PRESETS
from terrarium.models.settings.run_spec import DataSpec, RunSpec, TokenizerSpec, TrainConfig
from terrarium.models.settings.tune_spec import TuneSpec
from terrarium.models.training.proposal.facts import ITEMS, PACKED, TEXT, DataFacts
from terrarium.models.training.proposal.propose import (
    BUDGET_S,
    describe_length,
    describe_packing,
    epochs_of,
    prolonged,
    propose,
    seconds_of,
    step_memory,
)
from terrarium.models.training.proposal.speed import Speed
from terrarium.models.training.proposal.step_shape import step_shape, update_flops

GIB = 1 << 30


def rows(n: int, length: int = 25, unit: str = ITEMS) -> DataFacts:
    """So many rows of about that length, of which the longest is three times as long."""
    lengths = tuple(sorted([length] * 90 + [3 * length] * 10))
    mean = sum(lengths) / len(lengths)
    return DataFacts(unit=unit, n_rows=n, n_val_rows=n // 10, n_tokens=round(n * mean), lengths=lengths)


def text(n_tokens: int) -> DataFacts:
    return DataFacts(unit=TEXT, n_rows=0, n_val_rows=0, n_tokens=n_tokens)


def spec_of(preset: str = "terrarium-tiny", tune: TuneSpec | None = None, **train: int) -> RunSpec:
    return RunSpec(
        name="x",
        model=PRESETS[preset],
        tokenizer=TokenizerSpec(),
        data=DataSpec(),
        train=TrainConfig(**train),  # type: ignore[arg-type]
        tune=tune,
    )


def filled(spec: RunSpec, facts: DataFacts, speed: Speed | None = None, free: int = 16 * GIB) -> RunSpec:
    found = propose(spec, facts, speed, free)
    tune = None if spec.tune is None else dataclasses.replace(spec.tune, **found.tune)
    return dataclasses.replace(spec, train=dataclasses.replace(spec.train, **found.train), tune=tune)


@pytest.mark.parametrize("n", [40, 216, 1000, 18_000])
@pytest.mark.parametrize("unit", [ITEMS, PACKED])
def test_rows_are_read_several_times_and_small_data_more_often(n: int, unit: str) -> None:
    facts = rows(n, unit=unit)
    spec = filled(spec_of(), facts)
    epochs = epochs_of(spec, facts)
    assert epochs is not None
    assert 2 <= epochs <= 22
    assert step_shape(facts, spec.model, spec.train, None).rows <= max(32, n // 8)


def test_data_that_is_not_made_yet_is_learned_for_no_longer_either() -> None:
    spec = spec_of()
    slow, quick = (Speed(base_s=0.01, flops_per_s=each, token_s=0.001) for each in (1e9, 1e14))
    assert propose(spec, None, quick, 16 * GIB).train["steps"] == TrainConfig().steps
    found = propose(spec, None, slow, 16 * GIB)
    assert found.is_cut
    cut = dataclasses.replace(spec, train=dataclasses.replace(spec.train, **found.train))
    assert 0.5 * BUDGET_S < seconds_of(cut, None, slow) <= 1.1 * BUDGET_S


def test_the_largest_batch_has_the_longest_row_though_rows_are_left_over() -> None:
    """50 rows in batches of 8: each epoch leaves out two others."""
    lengths = tuple(range(1, 51))
    facts = DataFacts(unit=ITEMS, n_rows=50, n_val_rows=5, n_tokens=sum(lengths), lengths=lengths)
    shape = step_shape(facts, spec_of().model, TrainConfig(batch_size=8), None)
    assert (shape.rows, shape.longest, shape.per_epoch) == (8, 50, 6)


def test_what_a_reply_answers_takes_no_logits() -> None:
    model, train = dataclasses.replace(PRESETS["terrarium-tiny"], vocab_size=50_000), TrainConfig(batch_size=16)
    facts = dataclasses.replace(rows(216), reply_share=0.2)
    some = step_shape(facts, model, dataclasses.replace(train, context_loss_weight=0.0), None)
    every = step_shape(facts, model, train, None)
    assert some.loss_fraction <= 0.2 < every.loss_fraction
    assert update_flops(some, model, train, None) < update_flops(every, model, train, None)
    assert step_memory(model, some, train, None) < step_memory(model, every, train, None)


def test_a_step_reads_what_its_rows_have_and_not_the_context() -> None:
    facts = rows(216)
    spec = spec_of(batch_size=16)
    shape = step_shape(facts, spec.model, spec.train, None)
    assert shape.n_tokens == 16 * 30
    assert 25 <= shape.length <= 40
    assert shape.longest == 75
    assert step_memory(spec.model, shape, spec.train, None) < step_memory(
        spec.model, step_shape(None, spec.model, spec.train, None), spec.train, None
    )


def test_a_slow_computer_gets_fewer_steps_that_fit_and_a_busy_one_does_not() -> None:
    facts, slow = rows(18_000), Speed(base_s=1.0, flops_per_s=1e10, token_s=0.01)
    found = propose(spec_of(), facts, slow, 16 * GIB)
    spec = filled(spec_of(), facts, slow)
    assert found.is_cut
    assert BUDGET_S / 2 < seconds_of(spec, facts, slow) <= 1.2 * BUDGET_S
    busy = dataclasses.replace(slow, others=0.9)
    assert propose(spec_of(), facts, busy, 16 * GIB).train["steps"] > 3 * found.train["steps"]


def test_a_large_model_gets_small_batches_and_short_texts() -> None:
    facts = rows(180, length=60, unit=PACKED)
    speed = Speed(base_s=0.2, flops_per_s=5e10, token_s=0.06)
    spec = filled(spec_of("gpt2-124m", TuneSpec(parent="p", mode="lora")), facts, speed)
    assert spec.tune is not None
    assert spec.tune.max_length == 184
    assert spec.train.optimizer == "adamw"
    shape = step_shape(facts, spec.model, spec.train, spec.tune)
    assert step_memory(spec.model, shape, spec.train, spec.tune) < 4 * GIB
    assert seconds_of(spec, facts, speed) <= 1.2 * BUDGET_S
    little = filled(spec_of("gpt2-124m", TuneSpec(parent="p", mode="all")), rows(180, 150), speed, 5 * GIB)
    assert little.train.grad_accum_steps > 1, "the same update in less memory"


def test_a_text_is_read_to_a_number_of_tokens_and_a_short_one_not_too_often() -> None:
    for n_tokens, most in ((18_000, 24.0), (380_000, 16.0), (8_000_000, 1.0)):
        epochs = epochs_of(filled(spec_of(), text(n_tokens)), text(n_tokens))
        assert epochs is not None
        assert 0.3 < epochs <= most


def test_what_the_user_has_chosen_is_followed() -> None:
    facts = rows(216)
    chosen = propose(spec_of(steps=2000), facts, None, None, ("steps",))
    assert chosen.train["eval_interval"] == 200
    assert chosen.train["steps"] == propose(spec_of(), facts, None, None).train["steps"]
    assert propose(spec_of(batch_size=2), facts, None, None, ("batch_size",)).train["steps"] > chosen.train["steps"]


def test_a_longer_run_is_validated_as_often() -> None:
    train = TrainConfig(steps=120, eval_interval=12, sample_interval=0)
    assert prolonged(train) == {"steps": 1200, "eval_interval": 120, "checkpoint_interval": 120}


def test_it_is_said_in_words_that_anybody_understands() -> None:
    assert describe_length(40.2, rows(216), 10.0) == "about 40 s: 10 times through your 216 rows"
    assert describe_length(None, rows(1), 1.0) == "Once through your 1 row"
    assert describe_length(60.0, rows(1000), 0.5) == "about 1 min: 500 of your 1,000 rows"
    assert describe_length(60.0, text(1000), 0.255) == "about 1 min: 26 % of your text"
    assert describe_length(5.0, None, None) == "about 5 s"


def test_the_rows_of_a_step_and_those_that_are_cut_are_said_before_the_start() -> None:
    tune = TuneSpec(parent="x", mode="lora", max_length=50)
    spec, facts = spec_of("terrarium-tiny", tune, batch_size=6, steps=80), rows(160, unit=PACKED)
    assert step_shape(facts, spec.model, spec.train, tune).rows == 10  # 6 × 50 tokens, of 27.5 in a row as it is cut
    assert describe_packing(spec, facts) == (
        "A step reads about 10 rows. "
        "16 of 160 are longer than the longest text of this run, 50 tokens, and will be cut."
    )
    assert epochs_of(spec, facts) == 80 / 16
    whole = dataclasses.replace(spec, tune=dataclasses.replace(tune, max_length=80))
    assert "cut" not in describe_packing(whole, facts)
    assert describe_packing(spec, rows(160)) == ""
    assert describe_packing(spec, text(1000)) == ""
