"""Runs tried out through the session, with a real worker and a tiny model."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

from app.session.session import Session
from models.library.library import Library
from models.runs.run_folder import RunFolder
from models.settings.run_spec import RunSpec
from models.training import update
from models.training.trials import batch_finder, trial
from tests.app.heard import Heard, Until, long


def test_data_and_cost_are_shown_before_a_run_starts(
    session: Session, heard: Heard, tiny_spec: RunSpec, until: Until
) -> None:
    words: list[str] = []
    session.trial_changed.connect(lambda: words.append(session.trial.phase))
    assert session.start_trial("forecast", tiny_spec)
    assert session.trial.running
    until(lambda: not session.trial.running)
    trial = session.trial
    assert trial.preview is not None
    assert trial.cost is not None
    assert trial.cost.fits
    assert trial.preview_of == trial.cost_of == tiny_spec
    assert words[0] == "Waiting for the worker"
    assert "Measuring a few steps" in words
    assert session.runs.list() == []
    assert not heard.failures


def test_a_learning_rate_grows_before_the_eyes(session: Session, tiny_spec: RunSpec, until: Until) -> None:
    counts: list[int] = []
    session.trial_changed.connect(lambda: counts.append(len(session.trial.lr_points)))
    assert session.start_trial("lr", tiny_spec)
    until(lambda: not session.trial.running)
    assert session.trial.lr is not None
    assert counts == sorted(counts)
    assert session.trial.lr.points == session.trial.lr_points


def test_batches_are_shown_by_size(
    session: Session, tiny_spec: RunSpec, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_finder, "GAIN", 1e9)
    assert session.start_trial("batch", tiny_spec)
    until(lambda: not session.trial.running)
    assert [point.batch_size for point in session.trial.batch_points] == [1, 2, 4]
    assert session.trial.batch is not None


def test_a_training_comes_first(session: Session, heard: Heard, tiny_spec: RunSpec, until: Until) -> None:
    assert session.start_trial("lr", tiny_spec)
    assert session.training.start(long(tiny_spec))
    until(lambda: not session.trial.running)
    assert session.trial.lr is None
    assert not session.start_trial("lr", tiny_spec)
    assert "“tiny” is being trained" in heard.failures.pop()
    until(lambda: session.training.state is not None and session.training.state.step >= 1)
    run = RunFolder.open(session.library.runs / session.training.state.run_id)  # type: ignore[union-attr]
    session.preview_run(run.folder, run.spec)  # may be looked at all the same
    until(lambda: session.run_preview.preview is not None)
    session.training.stop()
    until(lambda: not session.training.active)


def test_what_cannot_train_says_why(session: Session, heard: Heard, tiny_spec: RunSpec, until: Until) -> None:
    long_context = dataclasses.replace(tiny_spec.model, context_length=100_000)
    assert session.start_trial("preview", dataclasses.replace(tiny_spec, model=long_context))
    until(lambda: not session.trial.running)
    assert "one context takes" in session.trial.problem
    assert session.trial.preview is None
    assert not heard.failures


def test_a_newer_trial_takes_the_place_of_an_older_one(
    session: Session, library: Library, tiny_spec: RunSpec, until: Until
) -> None:
    other = dataclasses.replace(tiny_spec, name="other")
    session.start_trial("lr", tiny_spec)
    session.start_trial("preview", other)
    until(lambda: not session.trial.running)
    assert session.trial.preview_of == other
    assert session.trial.lr is None
    session.start_trial("lr", tiny_spec)
    session.cancel_trial()
    until(lambda: not session.trial.running)
    assert session.trial.lr is None


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
    assert "batch_size 6 with grad_accum_steps 3" in heard.failures[-1]
    assert session.training.start(tiny_spec)  # the window and the worker are alive
    until(lambda: not session.training.active)
    assert session.training.state.status == "finished"
