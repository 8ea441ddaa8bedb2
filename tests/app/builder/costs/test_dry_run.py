"""Trying a design out through the session, with a real worker and a tiny design."""

from __future__ import annotations

import dataclasses

import pytest

from terrarium.app.builder.costs.dry_run import TIMED_STEPS, DryRunMeasured, DryRuns, DryRunState
from terrarium.app.session.session import Session
from terrarium.models.design import total_parameters
from terrarium.models.events import Notice, Progress
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS
from terrarium.models.settings.run_spec import RunSpec, TrainConfig
from terrarium.models.training.estimates import dry_run
from tests.app.heard import Heard, Until, long

TRAIN = TrainConfig(batch_size=2)


@pytest.fixture
def dry_runs(session: Session) -> DryRuns:
    dry_runs = DryRuns(session.worker, session.device, session.training, session.notices, session)
    session.status.add(dry_runs)
    return dry_runs


def measured(dry_runs: DryRuns) -> DryRunMeasured:
    result = dry_runs.state.result
    assert result is not None
    return result


@pytest.mark.parametrize("topology", ["decoder-only", "encoder-only", "encoder-decoder"])
def test_three_steps_of_every_topology_are_measured(
    session: Session, dry_runs: DryRuns, heard: Heard, tiny_config: ModelConfig, until: Until, topology: str
) -> None:
    config = dataclasses.replace(tiny_config, topology=topology)
    words: list[str] = []
    dry_runs.changed.connect(lambda: words.append(dry_runs.state.phase))
    assert dry_runs.start(config, TRAIN)
    assert dry_runs.state.running
    assert session.status.line.words.startswith("Loading torch") or session.status.line.words.startswith("Dry run: ")
    until(lambda: not dry_runs.state.running)
    result = measured(dry_runs)
    assert result.config == config
    assert (result.run.batch_size, result.run.length) == (2, config.context_length)
    assert result.run.ms_per_step > 0
    assert len(result.run.step_ms) == TIMED_STEPS == dry_run.TIMED_STEPS
    assert result.run.peak_bytes is not None
    assert result.run.peak_bytes > 2 * 4 * total_parameters(config)
    assert words[0] == "Waiting for the worker"
    assert words[-1] == ""
    assert not heard.failures


def test_texts_may_be_shorter_than_the_context(dry_runs: DryRuns, tiny_config: ModelConfig, until: Until) -> None:
    assert dry_runs.start(tiny_config, TRAIN, length=16)
    until(lambda: not dry_runs.state.running)
    assert measured(dry_runs).config == tiny_config
    assert measured(dry_runs).run.length == 16


def test_one_at_a_time_and_none_beside_a_training(
    session: Session, dry_runs: DryRuns, heard: Heard, tiny_config: ModelConfig, tiny_spec: RunSpec, until: Until
) -> None:
    assert dry_runs.start(tiny_config, TRAIN)
    assert not dry_runs.start(tiny_config, TRAIN)
    assert "already" in heard.failures.pop()
    until(lambda: not dry_runs.state.running)
    session.training.start(long(tiny_spec))
    assert not dry_runs.start(tiny_config, TRAIN)
    assert "“tiny” is training" in heard.failures.pop()
    session.training.stop()
    until(lambda: not session.training.active)
    assert dry_runs.start(tiny_config, TRAIN)
    until(lambda: not dry_runs.state.running)


def test_a_training_ends_the_dry_run_that_it_would_wait_for(
    session: Session, dry_runs: DryRuns, heard: Heard, tiny_config: ModelConfig, tiny_spec: RunSpec, until: Until
) -> None:
    assert dry_runs.start(tiny_config, TRAIN)
    assert session.training.start(tiny_spec)
    until(lambda: not session.training.active)
    assert session.training.state is not None
    assert session.training.state.status == "finished"
    assert not dry_runs.state.running
    assert dry_runs.state.result is None
    assert not heard.failures


def test_cancelling_leaves_the_earlier_result(
    dry_runs: DryRuns, heard: Heard, tiny_config: ModelConfig, until: Until
) -> None:
    dry_runs.start(tiny_config, TRAIN)
    until(lambda: not dry_runs.state.running)
    before = measured(dry_runs)
    dry_runs.start(dataclasses.replace(tiny_config, n_layer=3), TRAIN)
    dry_runs.cancel()
    assert dry_runs.state.phase == "Stopping after this step"
    until(lambda: not dry_runs.state.running)
    assert measured(dry_runs) is before
    assert dry_runs.state.phase == ""
    assert not heard.failures


def test_what_cannot_be_tried_says_why_in_its_place(
    dry_runs: DryRuns, heard: Heard, tiny_config: ModelConfig, until: Until
) -> None:
    dry_runs.start(PRESETS["mixtral-8x7b"], TRAIN)
    until(lambda: not dry_runs.state.running)
    assert "Training this design needs about" in dry_runs.state.phase
    assert dry_runs.state.result is None
    headless = dataclasses.replace(tiny_config, topology="encoder-only", head="none")
    dry_runs.start(headless, TRAIN)
    until(lambda: not dry_runs.state.running)
    assert "no head" in dry_runs.state.phase
    assert not heard.failures


def test_the_state_says_what_comes_next() -> None:
    state = DryRunState(running=True)
    words = [state.after(Progress(done=n, total=4)).phase for n in range(4)]
    assert words == [
        "Building the model, step 1 of 3",
        "Step 2 of 3",
        "Step 3 of 3",
        "Measuring the memory of a step",
    ]
    refused = state.after(Notice(sentence="It is too large."))
    assert (refused.phase, refused.problem) == ("It is too large.", "It is too large.")


def test_the_session_knows_how_much_memory_there_is(session: Session, until: Until) -> None:
    assert session.device.memory is None
    session.device.choose("cpu")
    until(lambda: session.device.memory is not None)
    memory = session.device.memory
    assert memory is not None
    assert memory.kind == "cpu"
    assert memory.label == session.device.label
    assert memory.n_bytes is None or memory.n_bytes > 2**28
