"""The life of runs in a session without a window: whatever is done with them, in any order, on a disk that fills up and
with a process that dies.

TERRARIUM_LIVES: how many lives are lived, each drawn at random (12 by default, always the same).
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import itertools
import os
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase as HypothesisPhase
from hypothesis import given, note, settings
from hypothesis import strategies as st
from PySide6.QtCore import QCoreApplication, QEventLoop
from PySide6.QtWidgets import QApplication

from terrarium.app.session.session import Session
from terrarium.app.session.training_state import TrainingState
from terrarium.models.events import Event, Phase
from terrarium.models.library.library import Library
from terrarium.models.library.run_record import RunInfo
from terrarium.models.recipes.job import RunJob
from terrarium.models.recipes.mark import find_run_mark
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.runs.run_queue import RecipeSpec
from terrarium.models.settings.run_spec import RunSpec
from terrarium.models.training import saving
from terrarium.models.training.prepare import prepare_run
from tests.app.heard import Heard

PATIENCE_S = 30
LIVES = int(os.environ.get("TERRARIUM_LIVES", "0"))
EXAMPLES = LIVES or 12
EXPECTED = (
    *("full", "already", "no checkpoint", "It was stopped", "is empty", "is being trained: stop it"),
    "was deleted meanwhile",
)
"""What a failure may be about: each is said in a sentence."""


MOVES = (
    *("start", "resume_run", "go_on", "go_on", "pause", "resume", "step", "stop", "free_the_device", "fill_the_disk"),
    *("free_the_disk", "rename", "delete", "queue", "close_and_open", "start_recipe", "go_on", "queue_recipe", "die"),
    *("start_the_queue", "hold_the_queue"),
)
"""What can be done: methods of LifeOfRuns."""


class TwoRuns:
    """A recipe of two short runs, with a phase before, between and after."""

    kind = "two runs"

    def __init__(self, spec: RunSpec) -> None:
        self._spec = spec

    def arguments(self) -> dict[str, Any]:
        return {"spec": self._spec.to_dict()}

    def work(self, job: RunJob) -> Generator[Event, None, None]:
        for part in ("first", "second"):
            yield Phase(name=f"Before the {part}")
            run = job.find(part)
            if run is None:
                name = job.library.free_run_name(f"{self._spec.name}, {part}")
                run = yield from prepare_run(job.library, dataclasses.replace(self._spec, name=name))
            yield from job.train(run, part)
        yield Phase(name="Measuring")


class Disk:
    """The disk of the library, as far as a training writes to it: it can be full."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.is_full = False
        for owner, name in ((RunFolder, "append"), (RunFolder, "update"), (saving, "write_checkpoint")):
            patch.setattr(owner, name, self._writing(getattr(owner, name)))

    def _writing(self, write: Callable[..., Any]) -> Callable[..., Any]:
        def write_if_there_is_room(*args: Any, **kwargs: Any) -> Any:
            if self.is_full:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return write(*args, **kwargs)

        return write_if_there_is_room


class LifeOfRuns:
    """Does one thing after the other, and checks what must hold after each.

    All that is done is drawn before, since what is possible at a time may depend on the worker's pace: the rest is left
    out. `n` chooses among runs, names and ways.
    """

    def __init__(self, home: Path, spec: RunSpec, disk: Disk) -> None:
        self.library, self.base, self.disk = Library(home), spec, disk
        self.n_runs = self.n_began = 0
        self.names: dict[str, str] = {}
        self.paused_at: int | None = None
        self.is_stopped = False
        self._open()

    def _open(self) -> None:
        self.session = Session(self.library)
        self.session.start(warm_up=False)
        self.session.training.retry.setInterval(5)
        self.session.training.began.connect(self._on_began)
        self.heard = Heard(self.session)
        self.is_stopped, self.paused_at = False, None

    def _on_began(self) -> None:
        self.n_began, self.paused_at = self.n_began + 1, None

    @property
    def recipe(self) -> RecipeSpec:
        """A recipe whose runs have names of their own."""
        short = dataclasses.replace(self.base.train, steps=4)
        return RecipeSpec(kind="two runs", arguments=TwoRuns(dataclasses.replace(self.spec, train=short)).arguments())

    @property
    def spec(self) -> RunSpec:
        """One with a name of its own, so that no run has the id of one that was deleted in the same second."""
        self.n_runs += 1
        return dataclasses.replace(self.base, name=f"run {self.n_runs}")

    # -- What can be done ------------------------------------------------------------------------------------------

    def start(self, n: int) -> None:
        if self.is_active:
            return
        assert self.session.training.start(self.spec)
        self.is_stopped = False

    def resume_run(self, n: int) -> None:
        resting = self.resting
        if self.is_active or not resting:
            return
        run = resting[n % len(resting)]
        if self.session.training.resume_run(run.id):
            self.is_stopped = False
            self._wait(lambda: self.settled)

    def go_on(self, n: int) -> None:
        """Wait until it has come further, or cannot."""
        if not self.is_active:
            return
        before = self.state.step
        self._wait(lambda: self.settled or self.state.step > before)

    def pause(self, n: int) -> None:
        if not self.is_active:
            return
        n_began = self.n_began
        self.session.training.pause()
        if not self.disk.is_full:
            self._wait(lambda: self.settled and self.state.status != "blocked")
            if self.is_active and self.n_began == n_began:  # it may have failed just now, and the next one begun
                assert self.state.status == "paused"
                self.paused_at = self.state.step

    def resume(self, n: int) -> None:
        if not self.is_active:
            return
        self.session.training.resume()
        self.paused_at = None

    def step(self, n: int) -> None:
        """One more step, unless there is no room for what it writes."""
        if self.paused_at is None or self.state.total_steps - self.state.step < 2:
            return
        before = self.state.step
        self.session.training.step()
        if self.disk.is_full:
            self._wait(lambda: self.state.step > before or self.state.status == "blocked")
            self.paused_at = None
        else:
            self._wait(lambda: self.state.step == before + 1 and self.state.status == "paused")
            self.paused_at = self.state.step

    def stop(self, n: int) -> None:
        if not self.is_active:
            return
        self.session.training.stop(keep=bool(n % 2))
        self.is_stopped, self.paused_at = True, None
        if not self.disk.is_full:
            self._wait(lambda: not self.is_active)

    def free_the_device(self, n: int) -> None:
        if not self.is_active:
            return
        self.session.training.pause(free=True)
        self.is_stopped, self.paused_at = True, None
        if not self.disk.is_full:
            self._wait(lambda: not self.is_active)

    def fill_the_disk(self, n: int) -> None:
        self.disk.is_full = True

    def free_the_disk(self, n: int) -> None:
        self.disk.is_full = False
        if self.is_active and self.is_stopped:
            self._wait(lambda: not self.is_active)

    def rename(self, n: int) -> None:
        if self.disk.is_full or not self.session.runs.list():
            return
        runs = self.session.runs.list()
        run, name = runs[n % len(runs)], f"name {n}"
        if self.session.runs.rename(run.id, name):
            self.names[run.id] = name
            self._wait(lambda: self.session.runs.find(run.id).name == name)

    def delete(self, n: int) -> None:
        resting = self.resting  # the worker may create a run at any time
        if not resting:
            return
        run = resting[n % len(resting)]
        self.session.runs.delete([run.id])
        is_refused = any("is being trained: stop it" in sentence for sentence in self.heard.failures)
        assert is_refused or run.id not in [other.id for other in self.session.runs.list()]

    def queue(self, n: int) -> None:
        assert self.session.queue.add([self.spec])
        if n % 2 and not self.is_stopping:
            self.session.queue.start()
            self.is_stopped = False

    def start_the_queue(self, n: int) -> None:
        if not self.is_stopping:
            self.session.queue.start()
            self.is_stopped = False

    def hold_the_queue(self, n: int) -> None:
        self.session.queue.hold()

    def start_recipe(self, n: int) -> None:
        if self.is_active:
            return
        assert self.session.training.start_recipe(self.recipe)
        self.is_stopped = False

    def queue_recipe(self, n: int) -> None:
        assert self.session.queue.add_recipe(self.recipe, f"recipe {n}")

    def close_and_open(self, n: int) -> None:
        self._close()
        self._open()

    def die(self, n: int) -> None:
        """Go on with what is on the disk between two events: what a process that dies there leaves behind."""
        home, copied = self.library.home.with_name(f"{self.library.home.name}+"), threading.Event()

        def copy() -> None:
            shutil.rmtree(home, ignore_errors=True)
            self.library.home.mkdir(exist_ok=True)
            with contextlib.suppress(shutil.Error):  # a checkpoint that is being written beside
                shutil.copytree(self.library.home, home)
            copied.set()

        self.session.worker.call(copy)
        self._wait(copied.is_set)
        self._close()
        self.library = Library(home)
        self._open()

    # -- What must hold --------------------------------------------------------------------------------------------

    def check(self) -> None:
        """What must hold at any time."""
        self.the_users_word_is_kept()
        self.what_is_told_is_true()

    def the_users_word_is_kept(self) -> None:
        QCoreApplication.processEvents()
        if self.paused_at is not None and self.is_active:
            assert self.state.status == "paused"
            assert self.state.step == self.paused_at
        if self.is_stopped and not self.is_active:
            assert not self.session.queue.is_draining
        if self.is_active and self.state.wants_pause and not self.state.wants_stop:
            assert self.state.status in ("pausing", "paused", "blocked", "running")  # which is for one step

    def what_is_told_is_true(self) -> None:
        for sentence in self.heard.failures:
            assert any(words in sentence for words in EXPECTED), sentence
        if not self.is_active:
            assert "running" not in [run.status for run in self.session.runs.list()]
        for run in self.session.runs.list():
            assert run.problem is None
            assert run.name == self.names.get(run.id, run.name)

    def end(self) -> None:
        self._close()
        parts: Counter[tuple[str, str]] = Counter()
        for run in self.library.list_runs():
            mark = find_run_mark(run.folder)
            if mark is not None:
                parts[mark.job, mark.part] += 1
            folder = RunFolder.open(run.folder)
            folder.acquire()  # nobody holds it any more
            folder.release()
            steps = [row["step"] for row in folder.read_metrics() if row["kind"] == "train"]
            assert all(after == before + 1 for before, after in itertools.pairwise(steps))
            assert folder.best_step is None or folder.checkpoint_path(folder.best_step).is_dir()
        assert set(parts.values()) <= {1}, "no part of a recipe is begun twice"

    def _close(self) -> None:
        self.session.close()
        QCoreApplication.processEvents()
        self.disk.is_full = False
        assert self.session.worker.isFinished()

    # -- Reading ---------------------------------------------------------------------------------------------------

    @property
    def is_active(self) -> bool:
        return self.session.training.active

    @property
    def state(self) -> TrainingState:
        assert self.session.training.state is not None
        return self.session.training.state

    @property
    def is_stopping(self) -> bool:
        return self.is_active and self.state.wants_stop

    @property
    def settled(self) -> bool:
        """Whether it is over, or waits for the user or for room, or has begun to train."""
        waits = self.is_active and self.state.status in ("paused", "blocked")
        return not self.is_active or waits or (self.state.status == "running" and not self.state.wants_pause)

    @property
    def resting(self) -> list[RunInfo]:
        return [run for run in self.session.runs.list() if not self.session.training.trains(run.id)]

    def _wait(self, condition: Callable[[], bool]) -> None:
        until = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < until, self.session.training.state
            QCoreApplication.processEvents(QEventLoop.ProcessEventsFlag.AllEvents, 10)


@pytest.mark.slow
def test_whatever_is_done_with_runs_nothing_is_lost(
    qapp: QApplication, tmp_path: Path, tiny_spec: RunSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = dataclasses.replace(
        tiny_spec.train, steps=1_000_000, checkpoint_interval=3, sample_interval=0, prompts=(), keep_checkpoints=2
    )
    spec, disk, numbers = dataclasses.replace(tiny_spec, name="a", train=train), Disk(monkeypatch), itertools.count()

    monkeypatch.setattr(
        "terrarium.models.recipes.recipes.RECIPES",
        {"two runs": lambda arguments: TwoRuns(RunSpec.from_dict(arguments["spec"], where="recipe"))},
    )
    generate = (HypothesisPhase.generate,)

    @settings(max_examples=EXAMPLES, derandomize=not LIVES, database=None, deadline=None, phases=generate)
    @given(st.lists(st.tuples(st.sampled_from(MOVES), st.integers(0, 5)), min_size=20, max_size=30))
    def live(moves: Sequence[tuple[str, int]]) -> None:
        life = LifeOfRuns(tmp_path / str(next(numbers)), spec, disk)
        try:
            for move, n in (("start", 0), *moves):
                note(f"{move}({n})")
                getattr(life, move)(n)
                life.check()
        finally:
            life.end()

    live()
