"""The queue through the session: order, failures, another launch, forks and what is discarded."""

from __future__ import annotations

import dataclasses
import errno
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from app.session.session import Session
from models.library.library import Library
from models.runs.run_folder import RunFolder
from models.runs.run_queue import RunQueue
from models.settings.run_spec import DataSpec, RunSpec
from tests.app.heard import Heard, Until, long


def named(spec: RunSpec, name: str, **train: object) -> RunSpec:
    return dataclasses.replace(spec, name=name, train=dataclasses.replace(spec.train, **train))  # type: ignore[arg-type]


def ended(session: Session) -> bool:
    return not session.training_active and not session.waiting and not session.queue_goes_on


def test_what_waits_follows_the_training(session: Session, heard: Heard, tiny_spec: RunSpec, until: Until) -> None:
    session.start_training(named(tiny_spec, "first"))
    assert session.queue_training([named(tiny_spec, "second"), named(tiny_spec, "third")], tags=("night",))
    assert session.queue_goes_on
    assert [item.name for item in session.waiting] == ["second", "third"]
    session.move_waiting(session.waiting[1].id, 0)
    until(lambda: ended(session))
    runs = sorted(session.list_runs(), key=lambda run: run.created)
    assert [(run.name, run.status) for run in runs] == [(name, "finished") for name in ("first", "third", "second")]
    assert [run.tags for run in runs] == [(), ("night",), ("night",)]
    assert not heard.failures


def test_one_that_fails_does_not_stop_the_next(
    session: Session, heard: Heard, tiny_spec: RunSpec, tmp_path: Path, until: Until
) -> None:
    no_text = dataclasses.replace(
        tiny_spec, name="gone", data=DataSpec(source="files", files=(str(tmp_path / "no.txt"),))
    )
    diverges = named(tiny_spec, "diverges", lr=10.0, muon_lr=10.0, warmup_steps=0, grad_clip=0.0, steps=60)
    session.queue_training([no_text, diverges, named(tiny_spec, "good")])
    assert not session.queue_goes_on, "nothing is trained, so it waits for the button"
    session.start_queue()
    until(lambda: not session.queue_goes_on and not session.training_active)
    assert {run.name: run.status for run in session.list_runs()}["good"] == "finished"
    (left,) = session.waiting
    assert left.name == "gone"
    assert "no.txt" in left.problem
    (tmp_path / "no.txt").write_text("The cat sat on the mat.\n" * 400, encoding="utf-8")
    session.retry_waiting(left.id)
    session.start_queue()
    until(lambda: ended(session))
    assert {run.name: run.status for run in session.list_runs()}["gone"] == "finished"


def test_a_full_disk_holds_the_queue(
    session: Session, heard: Heard, tiny_spec: RunSpec, tmp_path: Path, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_text = DataSpec(source="files", files=(str(tmp_path / "no.txt"),))
    session.queue_training([dataclasses.replace(tiny_spec, name="gone", data=no_text), named(tiny_spec, "good")])

    def is_full(queue: RunQueue, item_id: str, problem: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(RunQueue, "set_problem", is_full)
    session.start_queue()
    until(lambda: not session.queue_goes_on and not session.training_active)
    assert [item.name for item in session.waiting] == ["gone", "good"]
    assert any("disk is full" in sentence for sentence in heard.failures)


def test_a_held_queue_begins_nothing(session: Session, tiny_spec: RunSpec, until: Until) -> None:
    session.start_training(tiny_spec)
    session.queue_training([named(tiny_spec, "later")])
    session.hold_queue()
    until(lambda: not session.training_active)
    assert [item.name for item in session.waiting] == ["later"]
    removed = session.remove_waiting(session.waiting[0].id)
    assert removed is not None
    assert not session.waiting
    session.put_back_waiting(removed, 0)
    assert session.waiting[0] == removed


def test_a_run_that_goes_on_waits_its_turn(session: Session, tiny_spec: RunSpec, until: Until) -> None:
    session.start_training(long(tiny_spec))
    until(lambda: session.training is not None and session.training.step >= 2)
    session.stop()
    until(lambda: not session.training_active)
    (run,) = session.list_runs()
    stopped_at = run.step
    assert session.queue_run(run.id)
    session.start_queue()
    until(lambda: session.training is not None and session.training_active and session.training.step > stopped_at)
    assert not session.waiting
    session.stop()
    until(lambda: ended(session))


def test_another_process_fills_the_queue(
    session: Session, library: Library, tiny_spec: RunSpec, until: Until, heard: Heard
) -> None:
    RunQueue(library).add_new([tiny_spec])
    until(lambda: len(session.waiting) == 1)
    with RunQueue(library).draining():
        assert not session.start_queue()
    assert "Another window or command is working through the queue" in heard.failures[-1]


def test_a_fork_is_trained_or_waits(session: Session, heard: Heard, tiny_spec: RunSpec, until: Until) -> None:
    session.start_training(named(tiny_spec, "source", checkpoint_interval=4, keep_checkpoints=9))
    until(lambda: not session.training_active)
    (source,) = session.list_runs()
    slower = dataclasses.replace(tiny_spec.train, lr=1e-4, steps=16)
    assert session.fork_run(source.id, 8, name="fork", train=slower)
    until(lambda: session.training is not None and session.training.name == "fork" and session.training.over)
    fork = next(run for run in session.list_runs() if run.name == "fork")
    assert (fork.status, fork.step, fork.parent) == ("finished", 16, (source.id, 8))
    assert session.fork_run(source.id, 8, name="waits", train=slower, start=False)
    until(lambda: [item.name for item in session.waiting] == ["waits"])
    assert session.fork_run(source.id, 7, name="none", train=slower)
    until(lambda: bool(heard.failures))
    assert "no checkpoint of step 7" in heard.failures[-1]


def test_steering_while_it_runs(session: Session, tiny_spec: RunSpec, until: Until) -> None:
    session.start_training(long(tiny_spec))
    until(lambda: session.training is not None and session.training.step >= 2)
    session.set_lr_scale(0.5)
    session.sample_now("The bird")
    until(lambda: any(mark.event == "learning rate" for mark in session.history.marks))
    until(lambda: any(sample.prompt == "The bird" for sample in session.history.samples))
    mark = next(mark for mark in session.history.marks if mark.event == "learning rate")
    until(lambda: session.training is not None and session.training.step > mark.step)
    lr = dict(zip(session.history.train["step"], session.history.train["lr"], strict=True))
    assert lr[mark.step + 1] < 0.51 * lr[mark.step]
    run_id = session.training.run_id  # type: ignore[union-attr]
    session.discard_training()
    until(lambda: not session.training_active)
    assert not session.list_runs()
    trashed = list(session.library.trash.glob(f"*/{run_id}"))
    assert len(trashed) == 1
    assert RunFolder.open(trashed[0]).status == "stopped"


def test_a_window_that_closes_is_no_problem_of_what_was_about_to_begin(
    library: Library, tiny_spec: RunSpec, qtbot: QtBot
) -> None:
    session = Session(library)  # whose worker is not running yet: nothing gets as far as beginning
    session.queue_training([tiny_spec])
    session.start_queue()
    assert session.training_active
    session.worker.start()
    session.close()
    for item in RunQueue(library).items():
        assert not item.problem


def test_a_damaged_queue_is_said_once_and_read_again_when_it_is_mended(
    session: Session, library: Library, tiny_spec: RunSpec, heard: Heard, until: Until
) -> None:
    session.queue_training([tiny_spec])
    file = library.home / "queue.json"
    whole = file.read_text("utf-8")
    file.write_text("{", "utf-8")
    for _ in range(2):
        session._read_queue()
    assert not session.waiting
    assert len(heard.failures) == 1
    file.write_text(whole, "utf-8")
    session._read_queue()
    assert len(session.waiting) == 1
