"""Held-out questions asked as a model learns: when, what is kept of it, and that training does not change by it."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
import torch

from terrarium.models.evaluation import held_out_questions
from terrarium.models.evaluation.record import accuracy_of_row
from terrarium.models.events import AccuracyMeasured, Event, MicroStep
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import DataSpec, RunSpec, TokenizerSpec, TrainConfig
from terrarium.models.tiny_world import corpus as tiny_world
from terrarium.models.tiny_world.questions import KINDS
from terrarium.models.training.trainer import Trainer, prepare_run
from tests.models.training.support import assert_same_end, final_weights, make_run, numbers, result_of, train

QUIET: dict[str, Any] = {"eval_interval": 0, "sample_interval": 0, "checkpoint_interval": 3, "prompts": ()}
N = 2


@pytest.fixture(autouse=True)
def small_world(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Tiny World of few rows, of which few and short answers are asked for."""
    monkeypatch.setattr(tiny_world, "N_TRAIN", 40)
    monkeypatch.setattr(tiny_world, "N_VAL", 6)
    monkeypatch.setattr(held_out_questions, "N_SAMPLE", N)
    monkeypatch.setattr(held_out_questions, "N_SEEN", 20)
    monkeypatch.setattr(held_out_questions, "MAX_REPLY_TOKENS", 3)


def world_run(library: Library, config: ModelConfig, **settings: Any) -> RunFolder:
    """Six steps with dropout, whose random numbers nothing else may draw; questions at 0, 1, 4 and 6."""
    spec = RunSpec(
        name="world",
        model=dataclasses.replace(config, context_length=128, n_layer=1, dropout=0.1),
        tokenizer=TokenizerSpec(kind="byte"),
        data=DataSpec(source="tiny-world"),
        train=TrainConfig(**({"steps": 6, "batch_size": 1, "accuracy_interval": 4} | QUIET | settings)),
    )
    return result_of(prepare_run(library, spec))


def measured(events: list[Event]) -> list[AccuracyMeasured]:
    return [event for event in events if isinstance(event, AccuracyMeasured)]


def without_times(events: list[AccuracyMeasured]) -> list[AccuracyMeasured]:
    return [dataclasses.replace(event, elapsed_s=0.0, seconds=0.0) for event in events]


def kept(run: RunFolder) -> list[AccuracyMeasured]:
    return [accuracy_of_row(row) for row in run.read_accuracy()]


def test_it_is_measured_early_and_at_each_interval(library: Library, tiny_config: ModelConfig) -> None:
    run = world_run(library, tiny_config, optimizer="adamw", lr=0.1, warmup_steps=0)
    found = measured(train(run, library))
    assert [event.step for event in found] == [0, 1, 4, 6]
    for event in found:
        assert [(kind.kind, kind.n) for kind in event.kinds] == [(kind, N) for kind in KINDS]
        assert [answer.kind for answer in event.answers] == list(KINDS)
        assert event.seconds > 0
    assert found[0].answers[0].reply != found[-1].answers[0].reply, "of the model as it is"
    assert kept(RunFolder.open(run.folder)) == found
    assert measured(train(run, library)) == [], "of a finished run, nothing is measured again"


def test_training_is_the_same_with_and_without_it(library: Library, tiny_config: ModelConfig) -> None:
    runs = [world_run(library, tiny_config, accuracy_interval=n) for n in (1, 0)]
    found = [measured(train(run, library)) for run in runs]
    assert [len(events) for events in found] == [7, 0]
    assert numbers(runs[0]) == numbers(runs[1])
    with_it, without = map(final_weights, runs)
    assert all(torch.equal(weight, without[name]) for name, weight in with_it.items())


@pytest.mark.parametrize("stop_at", [3, 4])
def test_a_resumed_run_measures_what_an_unbroken_one_does(
    library: Library, tiny_config: ModelConfig, stop_at: int
) -> None:
    run, whole = (world_run(library, tiny_config) for _ in range(2))
    train(whole, library)
    trainer = Trainer(RunFolder.open(run.folder), library, device="cpu")
    for _ in trainer.events():
        if trainer.step == stop_at:
            trainer.request_stop(status="paused")
    train(run, library)
    assert_same_end(run, whole)
    assert without_times(kept(run)) == without_times(kept(whole))


def test_a_stop_acts_between_two_replies(library: Library, tiny_config: ModelConfig) -> None:
    run = world_run(library, tiny_config)
    trainer = Trainer(RunFolder.open(run.folder), library, device="cpu")
    after: list[Event] = []
    for event in trainer.events():
        if trainer.step == 4 and isinstance(event, MicroStep):
            trainer.request_stop()
            after.append(event)
    assert len(after) == 1
    assert [event.step for event in kept(run)] == [0, 1]
    assert [event.step for event in measured(train(run, library))] == [4, 6], "a resume makes up for it"


def test_other_runs_are_asked_nothing(library: Library, tiny_config: ModelConfig) -> None:
    text = make_run(library, tiny_config, steps=2, accuracy_interval=1)
    encoder = world_run(library, dataclasses.replace(tiny_config, topology="encoder-only"), accuracy_interval=1)
    for run in (text, encoder):
        assert measured(train(run, library)) == []
        assert run.read_accuracy() == []


def test_a_run_without_it_says_nothing_of_it(library: Library, tiny_config: ModelConfig) -> None:
    run = world_run(library, tiny_config, accuracy_interval=0)
    assert "accuracy_interval" not in json.dumps(run.spec.to_dict())
