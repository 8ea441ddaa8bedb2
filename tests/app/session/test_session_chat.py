"""Chatting through the session: with a run, with the model that is being trained, and stopping."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from pytestqt.qtbot import QtBot
from tokenizers import Tokenizer

from terrarium.app.session.session import Session
from terrarium.app.session.training_state import TrainingState
from terrarium.models.architecture.transformer import AnyModel
from terrarium.models.events import Event, ReplyFinished, TokenMade, result_of
from terrarium.models.inference.reply import ReplyStarted
from terrarium.models.interop import loading
from terrarium.models.library.library import Library
from terrarium.models.library.run_record import checkpoint_step
from terrarium.models.recipes.job import RunJob
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.run_spec import RunSpec
from terrarium.models.settings.sampling_config import SamplingConfig
from terrarium.models.training.trainer import prepare_run
from tests.app.heard import Heard, Until, long
from tests.app.small_models import put_model


def test_chat_with_the_model_as_it_is_while_it_trains(
    session: Session, heard: Heard, tiny_spec: RunSpec, until: Until
) -> None:
    session.training.start(long(tiny_spec))
    until(lambda: session.training.state is not None and session.training.state.step >= 2)
    assert session.chat.open("live")
    until(lambda: session.chat.state == "ready")
    model = session.chat.model
    assert model is not None
    assert (model.which, model.is_chat_model, model.source) == ("live", False, "files")
    assert session.chat.send("The cat", SamplingConfig(max_tokens=5, temperature=0.0))
    until(lambda: any(isinstance(event, ReplyFinished) for event in heard.chat))
    first = next(event for event in heard.chat if isinstance(event, ReplyStarted))
    assert first.step >= 2
    assert sum(isinstance(event, TokenMade) for event in heard.chat) == 5
    # The training goes on, and when it ends the chat goes on with its checkpoint.
    step = session.training.state.step  # type: ignore[union-attr]
    until(lambda: session.training.state.step > step)  # type: ignore[union-attr]
    session.training.stop()
    until(lambda: not session.training.active and session.chat.state == "ready")
    assert session.chat.model is not None
    assert session.chat.model.which == session.training.state.run_id  # type: ignore[union-attr]
    assert session.chat.model.step == session.training.state.step  # type: ignore[union-attr]
    assert not heard.failures


class TwoRuns:
    """A recipe that trains two runs, one after the other."""

    kind = ""

    def __init__(self, runs: Sequence[RunFolder]) -> None:
        self._runs = runs

    def arguments(self) -> dict[str, Any]:
        return {}

    def work(self, job: RunJob) -> Generator[Event, None, None]:
        for run in self._runs:
            yield from job.train(run)


def test_the_chat_keeps_its_own_model_when_a_recipe_trains_another_one(
    session: Session, library: Library, heard: Heard, tiny_spec: RunSpec, until: Until
) -> None:
    specs = [dataclasses.replace(long(tiny_spec), name=name) for name in ("first", "second")]
    first, second = (result_of(prepare_run(library, spec)) for spec in specs)
    job, training = RunJob(library, TwoRuns((first, second)), device="cpu"), session.training
    training.begin(TrainingState(name="two"), lambda: job)
    until(lambda: training.state is not None and training.state.step >= 2)
    session.chat.open("live")
    until(lambda: session.chat.state == "ready")
    assert session.chat.model is not None
    assert session.chat.model.run_id == first.id
    session.worker.call(lambda: job.trainer and job.trainer.request_stop())  # as early stopping does
    until(lambda: training.state is not None and training.state.run_id == second.id and training.state.step >= 2)
    assert training.state is not None
    assert training.state.saved_step is None, "that of the first run is not its"
    until(lambda: session.chat.state == "ready")
    kept = session.chat.model
    assert kept is not None
    saved = RunFolder.open(first.folder).latest_checkpoint()
    assert saved is not None
    assert (kept.which, kept.name, kept.step) == (first.id, "first", checkpoint_step(saved))
    assert session.chat.send("The cat", SamplingConfig(max_tokens=2))
    until(lambda: any(isinstance(event, ReplyFinished) for event in heard.chat))
    assert [event.step for event in heard.chat if isinstance(event, ReplyStarted)] == [kept.step]
    assert session.chat.open("live")
    until(lambda: session.chat.state == "ready")
    assert session.chat.model.run_id == second.id
    training.stop()
    until(lambda: not training.active)
    assert not heard.failures


def test_a_model_that_is_being_opened_stays_the_wanted_one_when_the_training_of_the_live_one_ends(
    session: Session, library: Library, byte_tokenizer: Tokenizer, tiny_spec: RunSpec, until: Until
) -> None:
    other = put_model(library, byte_tokenizer, "decoder-only")
    session.training.start(long(tiny_spec))
    until(lambda: session.training.state is not None and session.training.state.step >= 2)
    session.training.save()
    until(lambda: session.training.state.saved_step is not None)  # type: ignore[union-attr]
    session.chat.open("live")
    until(lambda: session.chat.state == "ready")
    assert session.chat.open(other)
    session.chat.on_training_ended()
    until(lambda: session.chat.state == "ready")
    assert session.chat.model is not None
    assert session.chat.model.run_id == other
    session.training.stop()
    until(lambda: not session.training.active)


def test_a_reply_can_be_stopped(session: Session, heard: Heard, tiny_spec: RunSpec, until: Until, qtbot: QtBot) -> None:
    session.training.start(tiny_spec)
    until(lambda: not session.training.active)
    session.chat.open(session.runs.list()[0].id)
    until(lambda: session.chat.state == "ready")
    # A tiny model fills its context within milliseconds, so nobody may look away between asking and stopping.
    with qtbot.waitSignal(session.chat.reply_ended):
        session.chat.send("The cat", SamplingConfig(max_tokens=100_000))
        session.chat.stop()
        assert session.chat.state == "ready"  # at once, whatever the worker is at
    assert not session.chat.reply_failed
    assert not any(isinstance(event, ReplyFinished) for event in heard.chat)
    assert not heard.failures
    with qtbot.waitSignal(session.chat.reply_ended):
        session.chat.send("The cat " * 500, SamplingConfig())
    assert session.chat.reply_failed


def test_opening_another_model_ends_the_reply(
    session: Session, heard: Heard, tiny_spec: RunSpec, until: Until, qtbot: QtBot
) -> None:
    session.training.start(tiny_spec)
    until(lambda: not session.training.active)
    run_id = session.runs.list()[0].id
    session.chat.open(run_id)
    until(lambda: session.chat.state == "ready")
    # A tiny model fills its context within milliseconds, so nobody may look away between asking and opening.
    with qtbot.waitSignal(session.chat.reply_ended):
        session.chat.send("The cat", SamplingConfig(max_tokens=100_000))
        session.chat.open(run_id)
    until(lambda: session.chat.state == "ready")
    assert not heard.failures


def test_chat_without_a_model_is_refused(session: Session, heard: Heard, until: Until) -> None:
    assert not session.chat.send("Hello", SamplingConfig())
    assert session.chat.open("live")
    until(lambda: session.chat.state == "none")
    assert len(heard.failures) == 2
    assert all("run" in sentence for sentence in heard.failures)


def test_stopping_without_a_reply_does_not_cancel_opening(
    session: Session, heard: Heard, tiny_spec: RunSpec, until: Until
) -> None:
    session.training.start(tiny_spec)
    until(lambda: not session.training.active)
    session.chat.open(session.runs.list()[0].id)
    session.chat.stop()
    assert session.chat.state == "loading"
    until(lambda: session.chat.state != "loading")
    assert session.chat.state == "ready"
    assert not heard.failures


def test_the_step_is_that_of_the_weights_though_a_newer_checkpoint_comes(
    session: Session, heard: Heard, tiny_spec: RunSpec, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    session.training.start(tiny_spec)
    until(lambda: not session.training.active)
    (info,) = session.runs.list()
    opened: list[str] = []
    real = loading.load_model_events

    def load(
        path: Path, device: torch.device, *, weights: str
    ) -> Generator[Event, None, tuple[AnyModel, Tokenizer | None]]:
        opened.append(path.name)
        loaded = yield from real(path, device, weights=weights)
        (info.folder / "checkpoints" / "step-00000099").mkdir()  # another process goes on training it
        return loaded

    monkeypatch.setattr(loading, "load_model_events", load)
    session.chat.open(info.id)
    until(lambda: session.chat.state == "ready")
    assert session.chat.model is not None
    assert session.chat.model.step == 12
    assert opened == ["step-00000012"]
    assert not heard.failures
