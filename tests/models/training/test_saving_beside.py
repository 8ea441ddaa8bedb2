"""Large checkpoints are written beside the training: the same files, and nothing is lost where that fails."""

import dataclasses
import errno
import json
import os
import threading
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from terrarium.models.events import Blocked, Event, Finished, RunStarted, Saved, TrainMetrics
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.training import checkpoint, saving
from terrarium.models.training.trainer import Trainer
from tests.models.training.support import assert_same_end, make_run, train

SETTINGS = {"keep_checkpoints": 9, "eval_interval": 3}


@pytest.fixture(autouse=True)
def beside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write even small checkpoints beside the training."""
    monkeypatch.setattr(saving, "AT_ONCE_BYTES", 0)


@pytest.fixture
def dropping(tiny_config: ModelConfig) -> ModelConfig:
    return dataclasses.replace(tiny_config, dropout=0.1)


def watched(run: RunFolder, library: Library, meddle: Callable[[Trainer, Event], None]) -> list[Event]:
    trainer, seen = Trainer(RunFolder.open(run.folder), library, device="cpu"), []
    for event in trainer.events():
        seen.append(event)
        meddle(trainer, event)
    return seen


def files(run: RunFolder) -> dict[str, bytes]:
    """The tensors of all checkpoints."""
    found = (run.folder / "checkpoints").glob("*/*.safetensors")
    return {str(path.relative_to(run.folder)): path.read_bytes() for path in found}


@pytest.fixture
def reference(library: Library, dropping: ModelConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """The same run, with its checkpoints written at once."""
    elsewhere = Library(tmp_path / "elsewhere")
    run = make_run(elsewhere, dropping, **SETTINGS)
    with monkeypatch.context() as patch:
        patch.setattr(saving, "AT_ONCE_BYTES", 1 << 40)
        train(run, elsewhere)
    return run


@pytest.fixture
def next_update(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set while an update waits for a checkpoint: a writer that fails only then fails after the step that it writes."""
    has_waited, real_wait = threading.Event(), saving.Saver.wait_until_read

    def wait(saver: saving.Saver) -> None:
        has_waited.set()
        real_wait(saver)
        has_waited.clear()

    monkeypatch.setattr(saving.Saver, "wait_until_read", wait)
    return has_waited


def test_the_weights_of_the_step_are_written_however_long_it_takes(
    library: Library, dropping: ModelConfig, reference: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer does not begin before the next update waits for it."""
    run = make_run(library, dropping, **SETTINGS)
    has_waited, real_write, real_wait = threading.Event(), checkpoint.write_tensors, saving.Saver.wait_until_read
    real_collect = saving.Saver.collect

    def write(*args: Any, **kwargs: Any) -> Generator[int, None, None]:
        assert has_waited.wait(60)
        yield from real_write(*args, **kwargs)

    def wait(saver: saving.Saver) -> None:
        has_waited.set()
        real_wait(saver)
        has_waited.clear()

    def collect(saver: saving.Saver, *args: Any, wait: bool) -> int | None:
        if wait:
            has_waited.set()
        return real_collect(saver, *args, wait=wait)

    monkeypatch.setattr(checkpoint, "write_tensors", write)
    monkeypatch.setattr(saving.Saver, "wait_until_read", wait)
    monkeypatch.setattr(saving.Saver, "collect", collect)
    events = train(run, library)
    saved = [event.step for event in events if isinstance(event, Saved)]
    assert saved == [3, 6, 9, 10]
    assert isinstance(events[-1], Finished)
    assert files(run) == files(reference)
    assert_same_end(run, reference)


@pytest.mark.parametrize("how", ["paused", "closed", "killed by an error"])
def test_a_checkpoint_in_progress_is_completed_before_the_end(
    library: Library, dropping: ModelConfig, reference: RunFolder, how: str
) -> None:
    run = make_run(library, dropping, **SETTINGS)
    trainer = Trainer(run, library, device="cpu")
    events = trainer.events()
    for event in events:
        if isinstance(event, TrainMetrics) and event.step == 4:
            if how == "paused":
                trainer.request_stop(keep=False, status="paused")
            elif how == "closed":
                events.close()
                break
            else:
                with pytest.raises(RuntimeError, match="a stranger's"):
                    events.throw(RuntimeError("a stranger's"))
                break
    assert run.latest_checkpoint() == run.checkpoint_path(4 if how == "closed" else 3)
    assert not list(run.folder.rglob(".tmp-*"))
    train(run, library)
    assert_same_end(run, reference)
    told = files(run)
    assert all(told[name] == data for name, data in files(reference).items())


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_fills_up_meanwhile_blocks_at_the_next_step(
    library: Library,
    dropping: ModelConfig,
    reference: RunFolder,
    next_update: threading.Event,
    monkeypatch: pytest.MonkeyPatch,
    code: int,
) -> None:
    """A checkpoint that failed is made up for at a later step, which waits for room; the best is one that is there."""
    run, is_full = make_run(library, dropping, **SETTINGS), [False]
    real_write = checkpoint.write_tensors

    def write(path: Path, tensors: Any, *, synced: bool) -> Generator[int, None, None]:
        if is_full[0] and path.name == "optimizer.safetensors":
            if threading.current_thread() is not threading.main_thread():
                assert next_update.wait(60)
            raise OSError(code, os.strerror(code))
        yield from real_write(path, tensors, synced=synced)

    monkeypatch.setattr(checkpoint, "write_tensors", write)
    blocked: list[int] = []

    def fill_up(trainer: Trainer, event: Event) -> None:
        if isinstance(event, TrainMetrics) and event.step == 6:
            is_full[0] = True
        if isinstance(event, Blocked):
            blocked.append(trainer.step)
            assert trainer.run.best_step == 3
            is_full[0] = len(blocked) < 2

    events = watched(run, library, fill_up)
    assert len(blocked) == 2
    assert blocked[0] == blocked[1] > 6
    saved = [event.step for event in events if isinstance(event, Saved)]
    assert saved[0] == 3
    assert blocked[0] in saved
    assert not run.checkpoint_path(6).exists()
    assert not list(run.folder.rglob(".tmp-*"))
    best = RunFolder.open(run.folder).best_step
    assert best is not None
    assert run.checkpoint_path(best).exists()
    known = files(reference)
    assert all(data == known[name] for name, data in files(run).items() if name in known)


def test_the_best_one_is_there_though_the_disk_fills_up_twice(
    library: Library, dropping: ModelConfig, next_update: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First there is no room, then what is begun cannot be completed: the best is never one that is not there."""
    run, free, failures = make_run(library, dropping, **SETTINGS), [1 << 40], [1]
    monkeypatch.setattr(saving, "free_bytes", lambda folder: free[0])
    real_write = checkpoint.write_tensors

    def write(path: Path, tensors: Any, *, synced: bool) -> Generator[int, None, None]:
        if failures and path.name == "optimizer.safetensors":
            assert next_update.wait(60)
            failures.pop()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        yield from real_write(path, tensors, synced=synced)

    monkeypatch.setattr(checkpoint, "write_tensors", write)
    best: list[tuple[int, int | None]] = []

    def fill_up(trainer: Trainer, event: Event) -> None:
        if isinstance(event, RunStarted):
            free[0] = 1000
        if isinstance(event, Blocked):
            free[0] = 1 << 40
        if isinstance(event, Saved):
            best.append((event.step, trainer.run.best_step))
        assert trainer.run.best_step is None or run.checkpoint_path(trainer.run.best_step).exists()

    events = watched(run, library, fill_up)
    assert isinstance(events[-1], Finished)
    assert not failures
    assert best[0][0] > 3, "that of step 3 was never completed"
    assert best[0][1] is None
    assert best[-1][1] is not None


def test_no_checkpoint_is_begun_where_there_is_no_room(
    library: Library, dropping: ModelConfig, reference: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, free = make_run(library, dropping, **SETTINGS), [1 << 40]
    monkeypatch.setattr(saving, "free_bytes", lambda folder: free[0])
    blocked: list[int] = []

    def fill_up(trainer: Trainer, event: Event) -> None:
        if isinstance(event, RunStarted):
            free[0] = 1000
        if isinstance(event, Blocked):
            blocked.append(trainer.step)
            free[0] = 1000 if len(blocked) < 2 else 1 << 40

    watched(run, library, fill_up)
    assert blocked == [3, 3]
    assert_same_end(run, reference)


def test_a_learning_rate_of_later_belongs_to_the_next_checkpoint(library: Library, dropping: ModelConfig) -> None:
    run = make_run(library, dropping, **SETTINGS)

    def change(trainer: Trainer, event: Event) -> None:
        if isinstance(event, TrainMetrics) and event.step == 7:
            trainer.set_lr(0.25)

    watched(run, library, change)
    scales = [json.loads((path / "state.json").read_text())["lr_scale"] for path in run.checkpoints()]
    assert scales == [1.0, 1.0, 0.25, 0.25]
