"""The queue through the session: order, failures, another launch, forks and what is discarded."""

from __future__ import annotations

import dataclasses
import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from pytestqt.qtbot import QtBot

from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.run.forks import Forks
from terrarium.app.runs.queue_panel import QueuePanel
from terrarium.app.session.session import Session
from terrarium.models.events import Event, Phase, RunStarted
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.runs.run_queue import QueueBusyError, QueuedRun, RecipeSpec, RunQueue
from terrarium.models.settings.run_spec import DataSpec, RunSpec
from tests.app.heard import Heard, Until, long


def named(spec: RunSpec, name: str, **train: object) -> RunSpec:
    return dataclasses.replace(spec, name=name, train=dataclasses.replace(spec.train, **train))  # type: ignore[arg-type]


def ended(session: Session) -> bool:
    return not session.training.active and not session.queue.waiting and not session.queue.is_draining


def test_queued_runs_follow_the_training(session: Session, heard: Heard, tiny_spec: RunSpec, until: Until) -> None:
    session.training.start(named(tiny_spec, "first"))
    assert session.queue.add([named(tiny_spec, "second"), named(tiny_spec, "third")], tags=("night",))
    assert session.queue.is_draining
    assert [item.name for item in session.queue.waiting] == ["second", "third"]
    session.queue.move(session.queue.waiting[1].id, 0)
    until(lambda: ended(session))
    runs = sorted(session.runs.list(), key=lambda run: run.created)
    assert [(run.name, run.status) for run in runs] == [(name, "finished") for name in ("first", "third", "second")]
    assert [run.tags for run in runs] == [(), ("night",), ("night",)]
    assert not heard.failures


def test_a_failed_run_does_not_stop_the_next(
    session: Session, heard: Heard, tiny_spec: RunSpec, tmp_path: Path, until: Until
) -> None:
    no_text = dataclasses.replace(
        tiny_spec, name="gone", data=DataSpec(source="files", files=(str(tmp_path / "no.txt"),))
    )
    hot = {"lr": 10.0, "warmup_steps": 0, "grad_clip": 0.0}
    diverges = named(tiny_spec, "diverges", **hot, steps=60, eval_interval=60, sample_interval=0)
    session.queue.add([no_text, diverges, named(tiny_spec, "good")])
    assert not session.queue.is_draining, "nothing is trained, so it waits for the button"
    session.queue.start()
    until(lambda: not session.queue.is_draining and not session.training.active)
    assert {run.name: run.status for run in session.runs.list()}["good"] == "finished"
    (left,) = session.queue.waiting
    assert left.name == "gone"
    assert "no.txt" in left.problem
    (tmp_path / "no.txt").write_text("The cat sat on the mat.\n" * 400, encoding="utf-8")
    session.queue.retry(left.id)
    session.queue.start()
    until(lambda: ended(session))
    assert {run.name: run.status for run in session.runs.list()}["gone"] == "finished"


def test_a_full_disk_pauses_the_queue(
    session: Session, heard: Heard, tiny_spec: RunSpec, tmp_path: Path, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_text = DataSpec(source="files", files=(str(tmp_path / "no.txt"),))
    session.queue.add([dataclasses.replace(tiny_spec, name="gone", data=no_text), named(tiny_spec, "good")])

    def is_full(queue: RunQueue, item_id: str, problem: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(RunQueue, "set_problem", is_full)
    session.queue.start()
    until(lambda: not session.queue.is_draining and not session.training.active)
    assert [item.name for item in session.queue.waiting] == ["gone", "good"]
    assert any("disk is full" in sentence for sentence in heard.failures)


def test_stop_starts_nothing_more(session: Session, heard: Heard, tiny_spec: RunSpec, until: Until) -> None:
    session.queue.add([named(long(tiny_spec), "first"), named(tiny_spec, "second")])
    session.queue.start()
    until(lambda: session.training.state is not None and session.training.state.step >= 1)
    session.training.stop()
    until(lambda: not session.training.active)
    assert not session.queue.is_draining
    assert [(item.name, item.problem) for item in session.queue.waiting] == [("second", "")]
    assert any("The queue is on hold" in sentence for sentence in heard.notices)
    session.queue.start()
    until(lambda: ended(session))
    assert {run.name: run.status for run in session.runs.list()} == {"first": "stopped", "second": "finished"}
    assert not heard.failures


def test_stop_while_a_queued_run_is_prepared_starts_nothing_more(
    library: Library, tiny_spec: RunSpec, until: Until
) -> None:
    session = Session(library)  # whose worker is not running yet: nothing gets as far as beginning
    session.queue.add([named(tiny_spec, "first"), named(tiny_spec, "second")])
    session.queue.start()
    assert session.training.active
    session.training.stop()
    session.worker.start()
    until(lambda: not session.training.active)
    assert not session.queue.is_draining
    assert [(item.name, item.problem) for item in session.queue.waiting] == [("first", ""), ("second", "")]
    session.close()
    assert not session.runs.list()


def test_a_paused_queue_starts_nothing(session: Session, tiny_spec: RunSpec, until: Until) -> None:
    session.training.start(tiny_spec)
    session.queue.add([named(tiny_spec, "later")])
    session.queue.hold()
    until(lambda: not session.training.active)
    assert [item.name for item in session.queue.waiting] == ["later"]
    removed = session.queue.remove(session.queue.waiting[0].id)
    assert removed is not None
    assert not session.queue.waiting
    session.queue.put_back(removed, 0)
    assert session.queue.waiting[0] == removed


def test_a_hold_stays_until_the_user_ends_it(
    session: Session, heard: Heard, theme: ThemeProvider, qtbot: QtBot, tiny_spec: RunSpec, until: Until
) -> None:
    panel = QueuePanel(session, theme)
    qtbot.addWidget(panel)
    session.training.start(named(tiny_spec, "first"))
    session.queue.add([named(tiny_spec, "second")])
    session.queue.hold()
    assert panel.title.text() == "1 run queued, held"
    assert session.queue.add([named(tiny_spec, "third")])
    assert session.queue.add_recipe(RecipeSpec(kind="task", arguments={"name": "telepathy"}), "Telepathy")
    assert "“Telepathy” is in the queue, which is held: press Start in the queue." in heard.notices
    assert not session.queue.is_draining
    assert not panel.start.isHidden()
    until(lambda: not session.training.active)
    assert [item.name for item in session.queue.waiting] == ["second", "third", "Telepathy"]
    session.queue.start()
    assert panel.title.text().endswith("queued")
    until(lambda: [item.name for item in session.queue.waiting] == ["Telepathy"] and not session.training.active)
    assert {run.name for run in session.runs.list()} == {"first", "second", "third"}


def test_a_resumed_run_waits_its_turn(session: Session, tiny_spec: RunSpec, until: Until) -> None:
    session.training.start(long(tiny_spec))
    until(lambda: session.training.state is not None and session.training.state.step >= 2)
    session.training.stop()
    until(lambda: not session.training.active)
    (run,) = session.runs.list()
    stopped_at = run.step
    assert session.queue.add_run(run.id)
    session.queue.start()
    until(
        lambda: (
            session.training.state is not None and session.training.active and session.training.state.step > stopped_at
        )
    )
    assert not session.queue.waiting
    session.training.stop()
    until(lambda: ended(session))


def test_another_process_fills_the_queue(
    session: Session, library: Library, tiny_spec: RunSpec, until: Until, heard: Heard
) -> None:
    RunQueue(library).add_new([tiny_spec])
    until(lambda: len(session.queue.waiting) == 1)
    with RunQueue(library).draining():
        assert not session.queue.start()
    assert "Another window or command is working through the queue" in heard.failures[-1]


def test_a_fork_is_trained_or_waits(session: Session, heard: Heard, tiny_spec: RunSpec, until: Until) -> None:
    session.training.start(named(tiny_spec, "source", checkpoint_interval=4, keep_checkpoints=9))
    until(lambda: not session.training.active)
    (source,) = session.runs.list()
    forks = Forks(session.library, session.runs, session.training, session.queue, session.notices, session)
    slower = dataclasses.replace(tiny_spec.train, lr=1e-4, steps=16)
    assert forks.fork(source.id, 8, name="fork", train=slower)
    until(
        lambda: (
            session.training.state is not None
            and session.training.state.name == "fork"
            and session.training.state.is_over
        )
    )
    fork = next(run for run in session.runs.list() if run.name == "fork")
    assert (fork.status, fork.step, fork.parent) == ("finished", 16, (source.id, 8))
    assert forks.fork(source.id, 8, name="waits", train=slower, start=False)
    until(lambda: [item.name for item in session.queue.waiting] == ["waits"])
    assert forks.fork(source.id, 7, name="none", train=slower)
    until(lambda: bool(heard.failures))
    assert "no checkpoint of step 7" in heard.failures[-1]


def test_control_while_it_runs(session: Session, tiny_spec: RunSpec, until: Until) -> None:
    session.training.start(long(tiny_spec))
    until(lambda: session.training.state is not None and session.training.state.step >= 2)
    session.training.set_lr_scale(0.5)
    session.training.sample("The bird")
    until(lambda: any(mark.event == "learning rate" for mark in session.training.history.marks))
    until(lambda: any(sample.prompt == "The bird" for sample in session.training.history.samples))
    mark = next(mark for mark in session.training.history.marks if mark.event == "learning rate")
    until(lambda: session.training.state is not None and session.training.state.step > mark.step)
    lr = dict(zip(session.training.history.train["step"], session.training.history.train["lr"], strict=True))
    assert lr[mark.step + 1] < 0.51 * lr[mark.step]
    run_id = session.training.state.run_id  # type: ignore[union-attr]
    session.runs.discard_trained()
    until(lambda: not session.training.active)
    assert not session.runs.list()
    trashed = list(session.library.trash.glob(f"*/{run_id}"))
    assert len(trashed) == 1
    assert RunFolder.open(trashed[0]).status == "stopped"


def test_closing_the_window_is_not_a_problem_of_the_starting_run(
    library: Library, tiny_spec: RunSpec, qtbot: QtBot
) -> None:
    session = Session(library)  # whose worker is not running yet: nothing gets as far as beginning
    session.queue.add([tiny_spec])
    session.queue.start()
    assert session.training.active
    session.worker.start()
    session.close()
    for item in RunQueue(library).items():
        assert not item.problem


def test_a_damaged_queue_is_reported_once_and_read_again_when_repaired(
    session: Session, library: Library, tiny_spec: RunSpec, heard: Heard, until: Until
) -> None:
    session.queue.add([tiny_spec])
    file = library.home / "queue.json"
    whole = file.read_text("utf-8")
    file.write_text("{", "utf-8")
    for _ in range(2):
        session.queue.read()
    assert not session.queue.waiting
    assert len(heard.failures) == 1
    file.write_text(whole, "utf-8")
    session.queue.read()
    assert len(session.queue.waiting) == 1


def test_the_window_does_not_wait_for_a_locked_queue(
    session: Session, library: Library, tiny_spec: RunSpec, heard: Heard
) -> None:
    with FileLock(library.home / "queue.lock"):  # as held by a command that was suspended
        assert not session.queue.add([tiny_spec])
    assert "has been changing the queue" in heard.failures[-1]
    assert session.queue.add([tiny_spec])


def test_a_locked_queue_is_held_where_a_run_could_not_start(
    session: Session, library: Library, tiny_spec: RunSpec, tmp_path: Path, heard: Heard, until: Until
) -> None:
    no_text = DataSpec(source="files", files=(str(tmp_path / "no.txt"),))
    session.queue.add([dataclasses.replace(tiny_spec, name="gone", data=no_text)])
    with FileLock(library.home / "queue.lock"):
        session.queue.start()
        until(lambda: not session.queue.is_draining and not session.training.active)
    assert "has been changing the queue" in heard.failures[-1]
    assert [item.name for item in session.queue.waiting] == ["gone"]


def test_a_failing_disk_is_reported_once_until_it_changes(
    session: Session, library: Library, tiny_spec: RunSpec, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    session.queue.add([tiny_spec])
    for error in (errno.EIO, errno.EACCES):

        def fail(path: Path, *, error: int = error, **_: object) -> os.stat_result:
            raise OSError(error, os.strerror(error), str(path))

        with monkeypatch.context() as disk:
            disk.setattr(Path, "stat", fail)
            for _ in range(3):
                session.queue.read()
    assert len(heard.failures) == 2
    session.queue.read()
    assert len(session.queue.waiting) == 1


def test_a_recipe_of_which_nothing_is_left_to_train_leaves_the_queue(
    session: Session, heard: Heard, tiny_spec: RunSpec, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Nothing:
        """A recipe whose stages are all there already."""

        def events(self) -> Iterator[Event]:
            yield Phase(name="Measuring")

    monkeypatch.setattr("terrarium.models.recipes.recipes.make_job", lambda *args: Nothing())
    assert session.queue.add_recipe(RecipeSpec(kind="demonstration", arguments={"name": "taught"}), "Taught")
    session.queue.add([named(tiny_spec, "second")])
    session.queue.start()
    until(lambda: ended(session))
    assert [run.name for run in session.runs.list()] == ["second"]
    assert not heard.failures


def test_a_recipe_that_is_still_in_a_locked_queue_is_not_carried_out_twice(
    session: Session, tiny_spec: RunSpec, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []

    class Something:
        """A recipe that trains a run."""

        def events(self) -> Iterator[Event]:
            made.append(1)
            yield RunStarted(
                run_id="gone", name="x", step=0, total_steps=1, device="cpu", precision="float32", threads=1
            )

    remove = RunQueue.remove

    def refuse(queue: RunQueue, item_id: str) -> QueuedRun:
        if item_id == recipe.id:
            raise QueueBusyError("Another process changes the queue: try again in a moment.")
        return remove(queue, item_id)

    monkeypatch.setattr("terrarium.models.recipes.recipes.make_job", lambda *args: Something())
    assert session.queue.add_recipe(RecipeSpec(kind="demonstration", arguments={"name": "taught"}), "Taught")
    (recipe,) = session.queue.waiting
    session.queue.add([named(tiny_spec, "second")])
    with monkeypatch.context() as locked:
        locked.setattr(RunQueue, "remove", refuse)
        session.queue.start()
        until(lambda: ended(session) or len(made) > 1)
    assert len(made) == 1
    assert [run.name for run in session.runs.list()] == ["second"]
    session.queue.read()
    assert not RunQueue(session.library).items(), "it leaves the queue as soon as that can be changed"


def test_the_notice_names_what_a_recipe_waits_for(
    session: Session, heard: Heard, tiny_spec: RunSpec, until: Until
) -> None:
    session.training.start(named(tiny_spec, "first", steps=10_000, eval_interval=0))
    session.queue.add([named(tiny_spec, "second")])
    session.queue.add_recipe(RecipeSpec(kind="task", arguments={"name": "telepathy"}), "Telepathy")
    session.training.stop()
    until(lambda: not session.training.active)
    assert "“Telepathy” is in the queue and starts after “second”." in heard.notices


def test_a_recipe_that_cannot_start_stays_with_the_reason(session: Session, until: Until) -> None:
    assert session.queue.add_recipe(RecipeSpec(kind="task", arguments={"name": "telepathy"}), "Telepathy")
    session.queue.start()
    until(lambda: not session.queue.is_draining and not session.training.active)
    (item,) = session.queue.waiting
    assert "no recipe 'telepathy'" in item.problem
