"""Writes a run's checkpoints in the background while it trains.

A thread writes the tensors without copying them while the next gradients are computed; nothing changes the tensors
until then. The following update waits until everything is written, for which a step of a thousand tokens usually leaves
enough time; flushing to disk is not waited for. So saving takes no extra memory and usually no time.
"""

from __future__ import annotations

import dataclasses
import errno
import os
import shutil
import threading
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from terrarium.models.runs.checkpoint_state import TrainState, write_steering
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.training.checkpoint import Content, content_of, write_checkpoint
from terrarium.models.training.parallel.process_group import Command
from terrarium.models.training.setup import TrainingContext

AT_ONCE_BYTES = 1 << 25
"""Smaller checkpoints are written synchronously: they take some hundredths of a second."""


class _Best(NamedTuple):
    """The best checkpoint so far; None before the first validation."""

    step: int | None
    loss: float | None
    score: float | None


class _SavedState(NamedTuple):
    """The state in the last checkpoint: its step, and the settings that can change during training."""

    step: int
    lr_scale: float
    beta: float | None


@dataclass(frozen=True)
class _Writing:
    """A checkpoint that is being written. best: the best checkpoint once this one is complete."""

    step: int
    done: Future[None]
    is_read: threading.Event
    best: _Best


class Saver:
    """Writes a run's checkpoints. `step` is that of the last complete one, -1 before the first.

    Call all methods on the training thread. `write` starts a checkpoint, `collect` reports when it is complete.
    """

    def __init__(self, run: RunFolder) -> None:
        self._run = run
        self._saved: _SavedState = _SavedState(-1, 1.0, None)
        self._thread = ThreadPoolExecutor(1, "checkpoint")
        self._writing: _Writing | None = None
        self._pruning: Future[None] | None = None
        self._complete: int | None = None
        self._has_failed = False
        self.step = -1

    def resume_from(self, state: TrainState) -> None:
        """Start from the state of the checkpoint that the run was resumed from."""
        self.step, self._saved = state.step, _saved_state_of(state)

    def is_saved(self, state: TrainState) -> bool:
        """Whether the last checkpoint has this state, or will have it once it is complete."""
        return self._saved == _saved_state_of(state)

    def write(self, context: TrainingContext, state: TrainState, stage_tensors: Mapping[str, Tensor]) -> None:
        """Start writing what is missing of this step's checkpoint; may be called again after the disk was full.

        The previous checkpoint must have been collected. stage_tensors: what the stage needs besides the model
        (TrainingStage.tensors).
        """
        assert self._writing is None
        path, planned = self._run.checkpoint_path(state.step), dataclasses.replace(state)
        planned.take_if_best()  # in `state` only once it is complete
        if path.exists():
            if not self.is_saved(state):
                write_steering(path, state)
            self._settle(state, state.step, _best_of(planned))
        else:
            planned.log_sizes = state.log_sizes = self._run.sync_logs()
            with context.process_group.together(Command.SAVE):
                context.process_group.barrier()
                content = content_of(context.layout, self._run.spec.model, context.optimizers, planned, stage_tensors)
            if content.n_bytes < AT_ONCE_BYTES or self._has_failed:
                write_checkpoint(path, content)
                self._settle(state, state.step, _best_of(planned))
            else:
                self._begin(path, content, planned)
        self._saved = _saved_state_of(state)

    def wait_until_read(self) -> None:
        """Wait until all tensors to save are read: then the weights may change."""
        if self._writing is not None:
            self._writing.is_read.wait()

    def collect(self, state: TrainState, *, wait: bool) -> int | None:
        """Return the step of a checkpoint that was completed since the last call, or None.

        Args:
            wait: whether to wait for a checkpoint that is being written, and for the deletion of old ones.

        Raises:
            OSError: if it could not be written, for example on a full disk. Then the previous checkpoint stays the
                last, and the next `write` is synchronous.
        """
        writing = self._writing
        if writing is not None and (wait or writing.done.done()):
            self._writing = None
            try:
                writing.done.result()
            except OSError:
                self._has_failed, self._saved = True, self._saved._replace(step=self.step)
                raise
            self._settle(state, writing.step, writing.best, beside=True)
        if wait and self._pruning is not None:
            pruning, self._pruning = self._pruning, None
            pruning.result()
        complete, self._complete = self._complete, None
        return complete

    def close(self, state: TrainState) -> None:
        """Wait for a checkpoint that is being written; if it fails, the previous one stays the last."""
        with suppress(OSError):
            self.collect(state, wait=True)

    def _begin(self, path: Path, content: Content, planned: TrainState) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if free_bytes(path.parent) < content.n_bytes:  # fail now, before the weights have changed
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        is_read = threading.Event()

        def work() -> None:
            try:
                write_checkpoint(path, content, is_read.set)
            finally:
                is_read.set()

        done = self._thread.submit(work)
        self._writing = _Writing(planned.step, done, is_read, _best_of(planned))

    def _settle(self, state: TrainState, step: int, best: _Best, *, beside: bool = False) -> None:
        """Record a complete checkpoint and which one is now the best, and delete old ones, which may be slow."""
        self.step = step
        state.best_step, state.best_loss, state.best_score = best
        if self._run.best_step != state.best_step:
            self._run.update(best_step=state.best_step)
        self._complete, self._has_failed, keep = step, False, self._run.spec.train.keep_checkpoints
        if beside:
            self._pruning = self._thread.submit(self._run.prune_checkpoints, keep)
        else:
            self._run.prune_checkpoints(keep)


def free_bytes(folder: Path) -> int:
    """Return the free space on the disk of a folder, in bytes."""
    return shutil.disk_usage(folder).free


def _saved_state_of(state: TrainState) -> _SavedState:
    return _SavedState(state.step, state.lr_scale, state.beta)


def _best_of(state: TrainState) -> _Best:
    return _Best(state.best_step, state.best_loss, state.best_score)
