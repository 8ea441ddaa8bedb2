"""Training through the session: start, pause, step, stop, resume, the quick start, and a disk that is full."""

from __future__ import annotations

import dataclasses
import errno
import math
import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from terrarium.app.session.run_history import RunHistory
from terrarium.app.session.session import Session
from terrarium.app.session.training import Training
from terrarium.app.session.training_state import TrainingState
from terrarium.models.evaluation.record import read_evaluation
from terrarium.models.events import Blocked, Event, Finished, Phase, RunStarted, TrainMetrics
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.runs.run_queue import RecipeSpec
from terrarium.models.settings.run_spec import RunSpec
from terrarium.models.training import setup
from tests.app.heard import Heard, Until, long


def test_a_run_from_start_to_finish(session: Session, heard: Heard, tiny_spec: RunSpec, until: Until) -> None:
    assert session.training.start(tiny_spec)
    assert session.training.state is not None
    assert session.training.state.status == "preparing"
    until(lambda: not session.training.active)
    assert not heard.failures
    assert heard.statuses == ["preparing", "running", "finished"]
    assert session.training.state.is_over
    assert session.training.state.step == session.training.state.total_steps == 12
    steps = [event.step for event in heard.events if isinstance(event, TrainMetrics)]
    assert steps == list(range(1, 13))
    assert list(session.training.history.train["step"]) == steps
    assert len(session.training.history.val) == 4
    assert [sample.prompt for sample in session.training.history.samples[:2]] == ["The cat", "The dog"]
    # The list and the folder say the same as the events did.
    (run,) = session.runs.list()
    assert (run.status, run.step) == ("finished", 12)
    again = RunHistory.read(RunFolder.open(run.folder))
    assert again.train["loss"].tolist() == pytest.approx(session.training.history.train["loss"].tolist())
    assert session.runs.spec(run.id).train == tiny_spec.train  # type: ignore[union-attr]


def test_the_tokenizer_that_a_run_trained_is_there_while_the_run_learns(
    session: Session, tiny_spec: RunSpec, until: Until
) -> None:
    assert not session.tokenizers.list()
    session.training.start(long(tiny_spec))
    until(lambda: session.tokenizers.current is not None)
    assert session.training.active
    assert [info.name for info in session.tokenizers.list()] == [session.tokenizers.name]
    session.training.stop()
    until(lambda: not session.training.active)


def test_pause_step_resume_stop(session: Session, heard: Heard, tiny_spec: RunSpec, until: Until) -> None:
    session.training.start(long(tiny_spec))
    until(lambda: session.training.state is not None and session.training.state.step >= 2)
    session.training.pause()
    assert session.training.state is not None
    until(lambda: session.training.state.status == "paused")  # type: ignore[union-attr]
    step = session.training.state.step
    assert session.status.line.words == "tiny is paused"
    session.training.step()
    until(lambda: session.training.state.step == step + 1 and session.training.state.status == "paused")  # type: ignore[union-attr]
    session.training.resume()
    until(lambda: session.training.state.step > step + 2)  # type: ignore[union-attr]
    assert session.training.state.status == "running"
    session.training.stop()
    until(lambda: not session.training.active)
    assert session.training.state.status == "stopped"
    assert session.training.state.saved_step == session.training.state.step
    assert heard.statuses == [
        *("preparing", "running", "pausing", "paused", "running", "paused", "running", "stopping", "stopped"),
    ]
    (run,) = session.runs.list()
    assert run.status == "stopped"
    assert not heard.failures


def test_stop_while_paused_saves(session: Session, tiny_spec: RunSpec, until: Until) -> None:
    session.training.start(long(tiny_spec))
    until(lambda: session.training.state is not None and session.training.state.step >= 2)
    session.training.pause()
    until(lambda: session.training.state.status == "paused")  # type: ignore[union-attr]
    session.training.stop()
    until(lambda: not session.training.active)
    run = RunFolder.open(session.runs.list()[0].folder)
    assert run.latest_checkpoint() is not None


def test_pause_and_free_the_device_then_resume(
    session: Session, heard: Heard, tiny_spec: RunSpec, until: Until
) -> None:
    session.training.start(long(tiny_spec))
    until(lambda: session.training.state is not None and session.training.state.step >= 2)
    session.training.pause(free=True)
    until(lambda: not session.training.active)
    (run,) = session.runs.list()
    assert run.status == "paused"
    assert session.training.resume_run(run.id)
    until(lambda: session.training.state is not None and session.training.state.step > run.step)
    # The curve goes on where it was, without a gap or a second start.
    steps = session.training.history.train["step"].tolist()
    assert steps == [float(step) for step in range(1, len(steps) + 1)]
    session.training.stop()
    until(lambda: not session.training.active)
    assert not heard.failures


def test_a_second_start_is_refused_in_a_sentence(
    session: Session, heard: Heard, tiny_spec: RunSpec, until: Until
) -> None:
    session.training.start(long(tiny_spec))
    assert not session.training.start(tiny_spec)
    assert not session.training.start_quickstart()
    assert all("already" in sentence for sentence in heard.failures)
    session.training.stop()
    until(lambda: not session.training.active)


def test_a_failed_run_says_why(session: Session, heard: Heard, tiny_spec: RunSpec, until: Until) -> None:
    missing = dataclasses.replace(tiny_spec.data, files=("/nowhere/text.txt",))
    session.training.start(dataclasses.replace(tiny_spec, data=missing))
    until(lambda: not session.training.active)
    assert session.training.state is not None
    assert session.training.state.status == "failed"
    assert "/nowhere/text.txt" in session.training.state.problem
    assert heard.failures == [session.training.state.problem]


def test_closing_saves_and_the_next_launch_resumes(
    library: Library, tiny_spec: RunSpec, until: Until, qapp: object
) -> None:
    first = Session(library)
    first.start(warm_up=False)
    first.training.start(long(tiny_spec))
    until(lambda: first.training.state is not None and first.training.state.step >= 3)
    first.close()
    (run,) = first.runs.list()
    assert run.status == "paused"
    assert run.step >= 3
    second = Session(library)
    second.start(warm_up=False)
    assert second.training.resume_run(run.id)
    until(lambda: second.training.state is not None and second.training.state.step > run.step)
    second.close()


def test_a_run_is_renamed_while_it_is_being_prepared(
    session: Session, heard: Heard, tiny_spec: RunSpec, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is there, and held by the worker, seconds before it begins to train."""
    goes_on, really = threading.Event(), setup.set_up

    def wait_first(*args: Any) -> Generator[Event, None, setup.TrainingContext]:
        assert goes_on.wait(60)
        return (yield from really(*args))

    monkeypatch.setattr("terrarium.models.training.trainer.set_up", wait_first)
    session.training.start(tiny_spec)
    until(lambda: [run.status for run in session.runs.list()] == ["preparing"])
    (run,) = session.runs.list()
    assert session.training.state is not None
    assert session.training.state.run_id == ""
    assert session.runs.rename(run.id, "renamed")
    goes_on.set()
    until(lambda: not session.training.active)
    assert not heard.failures
    assert session.training.state.name == session.runs.find(run.id).name == "renamed"


def test_the_events_of_a_training_end_with_its_status(
    session: Session, heard: Heard, tiny_spec: RunSpec, until: Until
) -> None:
    session.training.start(tiny_spec)
    until(lambda: not session.training.active)
    assert isinstance(heard.events[0], Phase)
    assert isinstance(heard.events[-1], Finished)
    assert all(math.isfinite(loss) for loss in session.training.history.train["loss"])


def test_pausing_twice_pauses_once(session: Session, tiny_spec: RunSpec, until: Until) -> None:
    session.training.start(long(tiny_spec))
    until(lambda: session.training.state is not None and session.training.state.step >= 1)
    session.training.pause()
    until(lambda: session.training.state.status == "paused")  # type: ignore[union-attr]
    session.training.pause()
    assert session.training.state is not None
    assert session.training.state.status == "paused"
    session.training.stop()
    session.training.pause()  # too late: it must not hold the stop up
    until(lambda: not session.training.active)
    assert session.training.state.status == "stopped"


def test_a_resumed_run_shows_the_history_up_to_its_checkpoint(
    session: Session, heard: Heard, tiny_spec: RunSpec, until: Until
) -> None:
    """The steps after the last checkpoint are trained again: they must not be drawn twice."""
    often = dataclasses.replace(tiny_spec.train, steps=60, checkpoint_interval=5, eval_interval=12, sample_interval=20)
    session.training.start(dataclasses.replace(tiny_spec, train=often))
    until(lambda: session.training.state is not None and session.training.state.step >= 6)
    session.training.pause()
    until(lambda: session.training.state.status == "paused")  # type: ignore[union-attr]
    while session.training.state.step % 5 == 0:  # type: ignore[union-attr]
        step = session.training.state.step  # type: ignore[union-attr]
        session.training.step()
        until(lambda: session.training.state.step > step)  # type: ignore[union-attr] # noqa: B023
    session.training.stop(keep=False)
    until(lambda: not session.training.active)
    run_id = session.training.state.run_id  # type: ignore[union-attr]
    assert session.training.history.train["step"][-1] % 5
    session.training.resume_run(run_id)
    seen = session.training.history
    until(lambda: not session.training.active)
    assert session.training.state.status == "finished"  # type: ignore[union-attr]
    assert seen is session.training.history
    assert list(seen.train["step"]) == list(range(1, 61))
    kept = RunHistory.read(RunFolder.open(session.runs.find(run_id).folder))
    assert list(seen.val["step"]) == list(kept.val["step"]) == list(range(0, 61, 12))
    assert seen.samples == kept.samples
    assert not heard.failures


def test_each_quick_start_has_a_new_world(
    session: Session, library: Library, text_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds: list[int] = []

    def note(training: Training, recipe: RecipeSpec) -> None:
        seeds.append(recipe.arguments["seed"])

    monkeypatch.setattr(Training, "begin_recipe", note)
    assert session.training.start_quickstart()
    assert session.training.start_quickstart(files=(str(text_file),))
    assert session.training.start_quickstart()
    session.remembered.flush()
    assert Session(library).training.start_quickstart()  # the next launch goes on
    assert seeds == [0, 0, 1, 2]


@pytest.mark.usefixtures("little_quickstart")
def test_a_quick_start_on_a_text(
    session: Session, heard: Heard, story_file: Path, little_quickstart: None, until: Until
) -> None:
    assert session.training.start_quickstart(0.001, files=(str(story_file),))
    until(lambda: not session.training.active)
    assert not heard.failures
    assert session.training.state is not None
    assert session.training.state.files == (str(story_file),)
    assert session.training.state.status == "finished"
    spec = session.runs.spec(session.training.state.run_id)
    assert spec is not None
    assert spec.data.source == "files"
    assert session.training.history.val["bits_per_byte"][-1] > 0
    assert session.training.history.samples
    assert session.remembered.get("next world", 0) == 0


@pytest.mark.slow
@pytest.mark.usefixtures("little_quickstart")
def test_a_quick_start_that_was_closed_is_resumed_to_its_result(
    session: Session, library: Library, heard: Heard, until: Until
) -> None:
    session.training.start_quickstart(0.001)
    until(lambda: session.training.state is not None and session.training.state.step >= 2)
    session.training.pause(free=True)
    until(lambda: not session.training.active)
    (run,) = session.runs.list()
    assert run.status == "paused"
    assert not session.training.state.has_result  # type: ignore[union-attr]
    assert session.training.resume_run(run.id)
    assert session.training.state is not None
    assert session.training.state.quickstart
    assert session.training.state.files == ()
    until(lambda: not session.training.active)
    assert not heard.failures
    assert session.training.state.status == "finished"
    assert session.training.state.has_result
    assert read_evaluation(run.folder) == session.training.state.evaluated


class FullDisk:
    """A trainer whose disk is full when it first wants to save."""

    def __init__(self) -> None:
        self.asked = 0
        self.stopped = False

    def events(self) -> Iterator[Event]:
        yield RunStarted(
            run_id="full", name="full", step=0, total_steps=2, device="CPU", precision="float32", threads=1
        )
        self.asked += 1
        while self.asked < 3 and not self.stopped:
            yield Blocked(reason="The disk is full: free some space.")
            self.asked += 1
        yield Finished(run_id="full", status="finished", step=2)

    def request_stop(self, keep: bool, status: str) -> None:
        self.stopped = True


def test_a_blocked_training_waits_says_why_and_tries_again(session: Session, until: Until) -> None:
    training, trainer = session.training, FullDisk()
    training.retry.setInterval(10)
    training.begin(TrainingState(name="full"), lambda: trainer)  # type: ignore[arg-type, return-value]
    until(lambda: session.training.state is not None and session.training.state.status == "blocked")
    assert session.training.state is not None
    assert "free some space" in session.training.state.problem
    assert "free some space" in session.status.line.words
    until(lambda: not session.training.active)
    assert trainer.asked == 3
    assert session.training.state.status == "finished"
    assert session.training.state.problem == ""


class FullUntilFreed:
    """A trainer whose disk is full after its first step, until it is freed. It says so when `goes_on` is set."""

    def __init__(self) -> None:
        self.is_full, self.goes_on = True, threading.Event()
        self.stopped = False

    def events(self) -> Iterator[Event]:
        yield RunStarted(
            run_id="full", name="full", step=0, total_steps=1000, device="CPU", precision="float32", threads=1
        )
        yield self._trained(1)
        assert self.goes_on.wait(60)
        while self.is_full and not self.stopped:
            yield Blocked(reason="The disk is full: free some space.")
        step = 1
        while not self.stopped:
            step += 1
            yield self._trained(step)
        yield Finished(run_id="full", status="stopped", step=step)

    def _trained(self, step: int) -> TrainMetrics:
        return TrainMetrics(
            step=step, total_steps=1000, tokens=step, elapsed_s=float(step), loss=1.0, lr=0.1, grad_norm=1.0,
            tokens_per_s=1.0, seconds_left=None,
        )  # fmt: skip

    def request_stop(self, keep: bool, status: str) -> None:
        self.stopped = True


@pytest.mark.parametrize("asked_first", [True, False])
def test_a_pause_outlives_a_full_disk(session: Session, until: Until, asked_first: bool) -> None:
    """Whether it was asked for just before the disk was full, or meanwhile: only the user takes it back."""
    training, trainer = session.training, FullUntilFreed()
    training.retry.setInterval(10)
    training.begin(TrainingState(name="full"), lambda: trainer)  # type: ignore[arg-type, return-value]
    until(lambda: training.state is not None and training.state.step == 1)
    if asked_first:
        training.pause()
    trainer.goes_on.set()
    until(lambda: training.state is not None and training.state.status == "blocked")
    training.pause()
    assert training.state is not None
    assert training.state.status == "blocked", "what it waits for is still said"
    trainer.is_full = False
    until(lambda: training.state.status == "paused")  # type: ignore[union-attr]
    assert training.state.step == 2, "the step that was cut off was done, and no other one"
    training.resume()
    until(lambda: training.state.step > 3)  # type: ignore[union-attr]
    assert training.state.status == "running"
    training.stop()
    until(lambda: not training.active)


def test_a_pause_can_be_taken_back_while_the_disk_is_full(session: Session, until: Until) -> None:
    training, trainer = session.training, FullUntilFreed()
    training.retry.setInterval(10)
    training.begin(TrainingState(name="full"), lambda: trainer)  # type: ignore[arg-type, return-value]
    trainer.goes_on.set()
    until(lambda: training.state is not None and training.state.status == "blocked")
    training.pause()
    training.resume()
    trainer.is_full = False
    until(lambda: training.state.step > 3)  # type: ignore[union-attr]
    assert training.state is not None
    assert training.state.status == "running"
    training.stop()
    until(lambda: not training.active)


def test_a_blocked_training_can_be_stopped(session: Session, until: Until) -> None:
    training, trainer = session.training, FullDisk()
    training.retry.setInterval(1_000_000)
    training.begin(TrainingState(name="full"), lambda: trainer)  # type: ignore[arg-type, return-value]
    until(lambda: session.training.state is not None and session.training.state.status == "blocked")
    session.training.stop()
    until(lambda: not session.training.active)
    assert trainer.stopped


def test_a_blocked_training_that_need_not_be_saved_stops_at_once(
    session: Session, heard: Heard, tiny_spec: RunSpec, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    session.training.retry.setInterval(1_000_000)
    monkeypatch.setattr("terrarium.models.training.saving.write_checkpoint", full)
    session.training.start(long(tiny_spec))
    until(lambda: session.training.state is not None and session.training.state.step >= 1)
    session.training.save()
    until(lambda: session.training.state is not None and session.training.state.status == "blocked")
    session.training.stop(keep=False)
    until(lambda: not session.training.active)
    (run,) = session.runs.list()
    assert run.status == "interrupted"  # what is on the disk says no more
    assert not heard.failures
