"""Trials of runs, with a real worker and a tiny model."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

from terrarium.app.new_run.trials.trials import TrialRunner, Trials, TrialState
from terrarium.app.session.session import Session
from terrarium.app.worker.job import INTERACTIVE
from terrarium.models.events import Event
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.run_spec import RunSpec
from terrarium.models.training import update
from terrarium.models.training.estimates import batch_finder, trial
from tests.app.heard import Heard, Until, long


@pytest.fixture
def trials(session: Session) -> Trials:
    return Trials(
        session.worker,
        session.library,
        session.device,
        session.training,
        session.tokenizers,
        session.notices,
        session,
    )


def test_data_and_cost_are_shown_before_a_run_starts(
    session: Session,
    trials: Trials,
    heard: Heard,
    tiny_spec: RunSpec,
    until: Until,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words: list[str] = []  # of each state, some of which are shown for no time at all
    after = TrialState.after

    def noted(state: TrialState, event: Event) -> TrialState:
        found = after(state, event)
        words.append(found.phase)
        return found

    monkeypatch.setattr(TrialState, "after", noted)
    assert trials.start("forecast", tiny_spec)
    assert trials.state.phase == "Waiting for the worker"
    assert trials.state.running
    until(lambda: not trials.state.running)
    trial = trials.state
    assert trial.preview is not None
    assert trial.cost is not None
    assert trial.cost.fits
    assert trial.preview_of == trial.cost_of == tiny_spec
    assert "Measuring a few steps" in words
    assert session.runs.list() == []
    assert not heard.failures


def test_the_learning_rate_trial_is_shown_live(trials: Trials, tiny_spec: RunSpec, until: Until) -> None:
    counts: list[int] = []
    trials.changed.connect(lambda: counts.append(len(trials.state.lr_points)))
    assert trials.start("lr", tiny_spec)
    until(lambda: not trials.state.running)
    assert trials.state.lr is not None
    assert counts == sorted(counts)
    assert trials.state.lr.points == trials.state.lr_points


def test_batches_are_shown_by_size(
    trials: Trials, tiny_spec: RunSpec, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_finder, "GAIN", 1e9)
    assert trials.start("batch", tiny_spec)
    until(lambda: not trials.state.running)
    assert [point.batch_size for point in trials.state.batch_points] == [1, 2, 4]
    assert trials.state.batch is not None


def test_a_training_cancels_a_trial(
    session: Session, trials: Trials, heard: Heard, tiny_spec: RunSpec, until: Until
) -> None:
    assert trials.start("lr", tiny_spec)
    assert session.training.start(long(tiny_spec))
    until(lambda: not trials.state.running)
    assert trials.state.lr is None
    assert not trials.start("lr", tiny_spec)
    assert "“tiny” is training" in heard.failures.pop()
    until(lambda: session.training.state is not None and session.training.state.step >= 1)
    run = RunFolder.open(session.library.runs / session.training.state.run_id)  # type: ignore[union-attr]
    look = TrialRunner(session.worker, session.library, session, INTERACTIVE)
    look.start_run(run.folder, run.spec)  # may be looked at all the same
    until(lambda: look.state.preview is not None)
    session.training.stop()
    until(lambda: not session.training.active)


def test_an_impossible_trial_says_why(trials: Trials, heard: Heard, tiny_spec: RunSpec, until: Until) -> None:
    long_context = dataclasses.replace(tiny_spec.model, context_length=100_000)
    assert trials.start("preview", dataclasses.replace(tiny_spec, model=long_context))
    until(lambda: not trials.state.running)
    assert "one context needs" in trials.state.problem
    assert trials.state.preview is None
    assert not heard.failures


def test_a_newer_trial_replaces_an_older_one(
    trials: Trials, library: Library, tiny_spec: RunSpec, until: Until
) -> None:
    other = dataclasses.replace(tiny_spec, name="other")
    trials.start("lr", tiny_spec)
    trials.start("preview", other)
    until(lambda: not trials.state.running)
    assert trials.state.preview_of == other
    assert trials.state.lr is None
    trials.start("lr", tiny_spec)
    trials.cancel()
    until(lambda: not trials.state.running)
    assert trials.state.lr is None


def test_a_training_that_runs_out_of_memory_says_which_batch_fits(
    session: Session, heard: Heard, tiny_spec: RunSpec, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in (update, trial):
        real = place.weighted_nll

        def loss(model: Any, batch: Any, *args: Any, real: Any = real) -> torch.Tensor:
            if batch.inputs.numel() > 6 * 32:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return real(model, batch, *args)

        monkeypatch.setattr(place, "weighted_nll", loss)
    assert session.training.start(
        dataclasses.replace(tiny_spec, train=dataclasses.replace(tiny_spec.train, batch_size=16))
    )
    until(lambda: not session.training.active)
    assert session.training.state is not None
    assert session.training.state.status == "failed"
    assert "The largest batch_size that fits is 6, found by trial" in session.training.state.problem
    assert "batch_size 4 with grad_accum_steps 4" in heard.failures[-1]
    assert session.training.start(tiny_spec)  # the window and the worker are alive
    until(lambda: not session.training.active)
    assert session.training.state.status == "finished"
