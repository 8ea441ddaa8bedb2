"""A run killed at any moment leaves every file readable, and resumes exactly."""

import dataclasses
import os
import random
import signal
import sys
import time
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import psutil
import pytest

from models.architecture.transformer import Decoder
from models.interop.loading import load_model
from models.library.library import Library
from models.runs.run_folder import RunFolder
from models.settings.model_config import ModelConfig
from models.training.checkpoint import read_checkpoint
from models.training.trainer import Trainer
from tests.models.training.support import fork, make_run, numbers, train, train_alone


def assert_readable(run: RunFolder, library: Library) -> int:
    """Every file of the run can be read; returns the step of its last checkpoint."""
    info = library.list_runs()[0]
    assert info.problem is None
    for rows in (run.read_metrics(), run.read_samples(), run.read_events()):
        assert all(isinstance(row, dict) for row in rows)
    steps = [row["step"] for row in run.read_metrics() if row["kind"] == "train"]
    assert steps == list(range(1, len(steps) + 1))
    last = 0
    for path in run.checkpoints():
        checkpoint = read_checkpoint(path, Decoder(run.spec.model))
        last = checkpoint.state.step
        assert path == run.checkpoint_path(last)
    best = RunFolder.open(run.folder).best_step
    assert best is None or run.checkpoint_path(best).is_dir()
    if last:
        load_model(run.folder)
    return last


def start(run: RunFolder, library: Library) -> ForkServerProcess:
    """A process that trains the run."""
    return fork(train_alone, str(run.folder), str(library.home))


def train_rows(run: RunFolder) -> int:
    path = run.folder / "metrics.jsonl"
    return path.read_bytes().count(b'"train"') if path.exists() else 0


def assert_whole(run: RunFolder, reference: RunFolder) -> None:
    assert numbers(run) == numbers(reference)
    assert run.read_samples() == reference.read_samples()
    last, expected = run.latest_checkpoint(), reference.latest_checkpoint()
    assert last is not None
    assert expected is not None
    assert (last / "model.safetensors").read_bytes() == (expected / "model.safetensors").read_bytes()


def stop_within_checkpoint(process: ForkServerProcess, run: RunFolder, left_over: set[Path]) -> None:
    """Stop it where a checkpoint is half written: what is seen then stays so until it is killed."""
    assert process.pid is not None
    while process.is_alive():
        if unfinished(run) - left_over:
            stop(process)
            if unfinished(run) - left_over:
                return
            os.kill(process.pid, signal.SIGCONT)  # it was done with it before it stopped
        time.sleep(0.0005)  # a core is all it may have
    raise AssertionError("it came to its end")


def stop(process: ForkServerProcess) -> None:
    """Stop it, and wait until it has: the signal reaches it a little later."""
    assert process.pid is not None
    os.kill(process.pid, signal.SIGSTOP)
    while process.is_alive() and psutil.Process(process.pid).status() != psutil.STATUS_STOPPED:
        time.sleep(0.001)


def unfinished(run: RunFolder) -> set[Path]:
    """Checkpoints that are being written, or were when a process died."""
    return set((run.folder / "checkpoints").glob(".tmp-*"))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_kills_within_checkpoints_and_at_random_moments(tmp_path: Path, tiny_config: ModelConfig) -> None:
    """A real process, really killed: every second time within a checkpoint, else wherever it is."""
    config = dataclasses.replace(tiny_config, dropout=0.1)
    settings = {"steps": 600, "checkpoint_interval": 5, "eval_interval": 50, "sample_interval": 90}
    library, elsewhere = Library(tmp_path / "home"), Library(tmp_path / "elsewhere")
    run, reference = make_run(library, config, **settings), make_run(elsewhere, config, **settings)
    train(reference, elsewhere)
    rng = random.Random(5)
    for i in range(12):
        left_over = unfinished(run)
        process = start(run, library)
        done = train_rows(run)
        while process.is_alive() and train_rows(run) in (done, 0):  # it cuts its logs before it goes on
            time.sleep(0.001)
        if i % 2:
            stop_within_checkpoint(process, run, left_over)
        else:
            until = time.perf_counter() + rng.random() * 0.08
            while time.perf_counter() < until:
                pass
        assert library.list_runs()[0].status == "running"
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        assert library.list_runs()[0].status == "interrupted"
        assert 0 <= library.list_runs()[0].step - assert_readable(run, library) <= 5
    train(run, library)
    assert_whole(run, reference)
    assert library.list_runs()[0].status == "finished"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGSTOP")
def test_training_continues_after_the_machine_slept(tmp_path: Path, tiny_config: ModelConfig) -> None:
    """As far as a process can tell: it was stopped in the midst of its work, and time has passed."""
    settings = {"steps": 120, "checkpoint_interval": 20}
    library, elsewhere = Library(tmp_path / "home"), Library(tmp_path / "elsewhere")
    run, reference = make_run(library, tiny_config, **settings), make_run(elsewhere, tiny_config, **settings)
    train(reference, elsewhere)
    process = start(run, library)
    for rows in (5, 60):
        while process.is_alive() and train_rows(run) < rows:
            time.sleep(0.001)
        stop(process)
        there = train_rows(run)
        assert library.list_runs()[0].status == "running"
        asleep = time.perf_counter() + 0.3
        while time.perf_counter() < asleep:
            assert train_rows(run) == there
        assert process.pid is not None
        os.kill(process.pid, signal.SIGCONT)
    process.join()
    assert process.exitcode == 0
    assert_readable(run, library)
    assert_whole(run, reference)


class Killed(BaseException):
    """Stands for the process's end: nothing may catch it and go on writing."""


class Bomb:
    """Ends everything at the n-th change to the disk: before it, or in the middle of a write."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, n: int) -> None:
        self.left, self.gone = n, False
        for name in ("replace", "rename", "unlink", "rmdir", "mkdir", "write"):
            monkeypatch.setattr(os, name, self._wrap(name, getattr(os, name)))

    def _wrap(self, name: str, real: Any) -> Any:
        def act(*args: Any, **kwargs: Any) -> Any:
            if self.gone:
                raise Killed
            self.left -= 1
            if self.left == 0:
                self.gone = True
                if name == "write":
                    real(args[0], args[1][: len(args[1]) // 2])
                raise Killed
            return real(*args, **kwargs)

        return act


def test_a_kill_between_any_two_disk_writes_is_survived(
    library: Library, tiny_config: ModelConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a kill, but at each single write, rename and deletion in turn."""
    settings = {"steps": 4, "checkpoint_interval": 1, "eval_interval": 2, "sample_interval": 0, "keep_checkpoints": 1}
    elsewhere = Library(tmp_path / "elsewhere")
    reference = make_run(elsewhere, tiny_config, **settings)
    train(reference, elsewhere)
    n, finished = 0, False
    while not finished:
        n += 1
        run = make_run(library, tiny_config, **settings)
        events = Trainer(run, library, device="cpu").events()
        with monkeypatch.context() as patch:
            bomb = Bomb(patch, n)
            try:
                for _ in events:
                    pass
                finished = not bomb.gone
            except Killed:
                pass
        del events
        if not finished:
            assert library.list_runs()[0].status in ("queued", "interrupted", "finished")
        assert_readable(run, library)
        train(run, library)
        assert numbers(run) == numbers(reference)
        assert library.list_runs()[0].status == "finished"
        assert RunFolder.open(run.folder).best_step == RunFolder.open(reference.folder).best_step
        assert not list(run.folder.rglob(".tmp-*"))
    assert n > 40
