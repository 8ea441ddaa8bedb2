"""The life of runs in a session without a window: whatever is done with them, in any order, on a disk that fills up."""

from __future__ import annotations

import dataclasses
import errno
import itertools
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, note, settings
from hypothesis import strategies as st
from PySide6.QtCore import QCoreApplication, QEventLoop
from PySide6.QtWidgets import QApplication

from terrarium.app.session.session import Session
from terrarium.app.session.training_state import TrainingState
from terrarium.models.library.library import Library
from terrarium.models.library.run_record import RunInfo
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.run_spec import RunSpec
from terrarium.models.training import saving
from tests.app.heard import Heard

PATIENCE_S = 30
EXAMPLES = 12
EXPECTED = (
    *("full", "already", "no checkpoint", "It was stopped", "is empty", "is being trained: stop it"),
    "was deleted meanwhile",
)
"""What a failure may be about: each is said in a sentence."""


MOVES = (
    *("start", "resume_run", "go_on", "go_on", "pause", "resume", "step", "stop", "free_the_device", "fill_the_disk"),
    *("free_the_disk", "rename", "delete", "queue", "close_and_open"),
)
"""What can be done: methods of LifeOfRuns."""


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
        self.n_runs = 0
        self.names: dict[str, str] = {}
        self.paused_at: int | None = None
        self.is_stopped = False
        self._open()

    def _open(self) -> None:
        self.session = Session(self.library)
        self.session.start(warm_up=False)
        self.session.training.retry.setInterval(5)
        self.heard = Heard(self.session)
        self.is_stopped, self.paused_at = False, None

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
        if self.is_active or not self.resting:
            return
        run = self.resting[n % len(self.resting)]
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
        self.session.training.pause()
        if not self.disk.is_full:
            self._wait(lambda: self.settled and self.state.status != "blocked")
            if self.is_active:
                assert self.state.status == "paused"
                self.paused_at = self.state.step

    def resume(self, n: int) -> None:
        if not self.is_active:
            return
        self.session.training.resume()
        self.paused_at = None

    def step(self, n: int) -> None:
        """One more step, unless there is no room for what it writes."""
        if self.paused_at is None or not self.state.total_steps:
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
        if not self.resting:
            return
        run = self.resting[n % len(self.resting)]
        self.session.runs.delete([run.id])
        is_refused = any("is being trained: stop it" in sentence for sentence in self.heard.failures)
        assert is_refused or run.id not in [other.id for other in self.session.runs.list()]

    def queue(self, n: int) -> None:
        assert self.session.queue.add([self.spec])
        if n % 2 and not self.is_stopping:
            self.session.queue.start()
            self.is_stopped = False

    def close_and_open(self, n: int) -> None:
        self._close()
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
        for run in self.library.list_runs():
            folder = RunFolder.open(run.folder)
            folder.acquire()  # nobody holds it any more
            folder.release()
            steps = [row["step"] for row in folder.read_metrics() if row["kind"] == "train"]
            assert all(after == before + 1 for before, after in itertools.pairwise(steps))
            assert folder.best_step is None or folder.checkpoint_path(folder.best_step).is_dir()

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

    @settings(max_examples=EXAMPLES, derandomize=True, database=None, deadline=None, phases=(Phase.generate,))
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
