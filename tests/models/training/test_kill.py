"""A run killed at any moment leaves every file readable, and resumes exactly."""

import dataclasses
import os
import random
import shutil
import signal
import sys
import time
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import psutil
import pytest

from terrarium.models.architecture.transformer import Decoder
from terrarium.models.interop.loading import load_model
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.training.checkpoint import read_checkpoint
from terrarium.models.training.trainer import Trainer
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


def start(run: RunFolder, library: Library, *, is_beside: bool = False) -> ForkServerProcess:
    """A process that trains the run."""
    return fork(train_alone, str(run.folder), str(library.home), is_beside)


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
    """A real process, really killed: every second time within a checkpoint, else wherever it is.

    Half of them write checkpoints beside the training, where the next one begins after the last was complete.
    """
    config = dataclasses.replace(tiny_config, dropout=0.1)
    settings = {"steps": 10_000, "checkpoint_interval": 5, "eval_interval": 10, "sample_interval": 20}
    library, elsewhere = Library(tmp_path / "home"), Library(tmp_path / "elsewhere")
    run, reference = make_run(library, config, **settings), make_run(elsewhere, config, **settings)
    rng = random.Random(5)
    for i in range(8):
        is_beside = i % 4 > 1
        left_over = unfinished(run)
        process = start(run, library, is_beside=is_beside)
        done = train_rows(run)
        while process.is_alive() and train_rows(run) in (done, 0):  # it cuts its logs before it goes on
            time.sleep(0.001)
        if i % 2:
            stop_within_checkpoint(process, run, left_over)
        else:
            until = time.perf_counter() + rng.random() * 0.03
            while time.perf_counter() < until:
                pass
        assert library.list_runs()[0].status == "running"
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        assert library.list_runs()[0].status == "interrupted"
        assert 0 <= library.list_runs()[0].step - assert_readable(run, library) <= (10 if is_beside else 5)
    end = train_rows(run) + 5
    train_until(end, run, library)
    train_until(end, reference, elsewhere)
    assert_whole(run, reference)
    assert library.list_runs()[0].status == "stopped"


def train_until(step: int, run: RunFolder, library: Library) -> None:
    trainer = Trainer(RunFolder.open(run.folder), library, device="cpu")
    for _ in trainer.events():
        if trainer.step == step:
            trainer.request_stop()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGSTOP")
def test_training_continues_after_the_machine_slept(tmp_path: Path, tiny_config: ModelConfig) -> None:
    """As far as a process can tell: it was stopped in the midst of its work, and time has passed."""
    settings = {"steps": 24, "checkpoint_interval": 8, "sample_interval": 8}
    library, elsewhere = Library(tmp_path / "home"), Library(tmp_path / "elsewhere")
    run, reference = make_run(library, tiny_config, **settings), make_run(elsewhere, tiny_config, **settings)
    train(reference, elsewhere)
    process = start(run, library)
    for rows in (5, 14):
        while process.is_alive() and train_rows(run) < rows:
            time.sleep(0.001)
        stop(process)
        there = train_rows(run)
        assert library.list_runs()[0].status == "running"
        asleep = time.perf_counter() + 0.1
        while time.perf_counter() < asleep:
            assert train_rows(run) == there
        assert process.pid is not None
        os.kill(process.pid, signal.SIGCONT)
    process.join()
    assert process.exitcode == 0
    assert_readable(run, library)
    assert_whole(run, reference)


class Camera:
    """Copies a folder at each change of it: before it, or in the middle of a write. So a kill there would leave it.

    What is on disk as in the picture before is not copied again.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path, album: Path) -> None:
        self.folder, self.album, self.pictures = folder, album, list[Path]()
        self._is_copying, self._seen = False, dict[str, bytes]()
        for name in ("replace", "rename", "unlink", "rmdir", "mkdir", "write"):
            monkeypatch.setattr(os, name, self._wrap(name, getattr(os, name)))

    def _wrap(self, name: str, real: Any) -> Any:
        def act(*args: Any, **kwargs: Any) -> Any:
            if self._is_copying:
                return real(*args, **kwargs)
            done = real(args[0], args[1][: len(args[1]) // 2]) if name == "write" else 0
            self._is_copying = True
            seen = {str(path): path.read_bytes() if path.is_file() else b"" for path in self.folder.rglob("*")}
            if seen != self._seen:
                self._seen = seen
                self.pictures.append(Path(shutil.copytree(self.folder, self.album / str(len(self.pictures)))))
            self._is_copying = False
            return done + real(args[0], args[1][done:]) if name == "write" else real(*args, **kwargs)

        return act


def test_a_kill_between_any_two_disk_writes_is_survived(
    library: Library, tiny_config: ModelConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a kill, but at each single write, rename and deletion in turn."""
    small = dataclasses.replace(tiny_config, n_layer=1, d_model=16)
    settings = {"steps": 2, "checkpoint_interval": 1, "eval_interval": 1, "eval_batches": 1, "keep_checkpoints": 1}
    reference = make_run(library, small, **settings, sample_interval=0)
    with monkeypatch.context() as patch:
        camera = Camera(patch, library.home, tmp_path / "album")
        train(reference, library)
    best, statuses = RunFolder.open(reference.folder).best_step, set()
    for home in camera.pictures:
        copy = Library(home)
        statuses.add(copy.list_runs()[0].status)
        run = RunFolder.open(copy.list_runs()[0].folder)
        assert_readable(run, copy)
        train(run, copy)
        assert numbers(run) == numbers(reference)
        assert copy.list_runs()[0].status == "finished"
        assert RunFolder.open(run.folder).best_step == best
        assert not list(run.folder.rglob(".tmp-*"))
    assert statuses == {"queued", "interrupted", "finished"}
    assert len(camera.pictures) > 30, len(camera.pictures)
