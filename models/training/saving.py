"""Writes the checkpoints of a run while it trains."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from models.runs.checkpoint_state import TrainState, write_steering
from models.runs.run_folder import RunFolder
from models.training.checkpoint import write_checkpoint
from models.training.parallel.process_group import Command
from models.training.setup import TrainingContext


class Saver:
    """Writes a run's checkpoints. `step` is that of the last one, -1 before the first."""

    def __init__(self, run: RunFolder) -> None:
        self._run = run
        self._steering: tuple[float, float | None] = (1.0, None)
        self.step = -1

    def resume_from(self, state: TrainState) -> None:
        """Start from a run that was resumed from a checkpoint with this state."""
        self.step, self._steering = state.step, (state.lr_scale, state.beta)

    def holds(self, state: TrainState) -> bool:
        """Whether the last checkpoint has this state."""
        return (self.step, *self._steering) == (state.step, state.lr_scale, state.beta)

    def write(self, context: TrainingContext, state: TrainState, of_stage: Mapping[str, Tensor]) -> None:
        """Write whatever is missing of this step's checkpoint; may be called again after the disk was full.

        of_stage: what the stage needs beside the model (Stage.tensors).
        """
        path = self._run.checkpoint_path(state.step)
        state.take_if_best()
        if not path.exists():
            state.log_sizes = self._run.sync_logs()
            with context.process_group.together(Command.SAVE):
                context.process_group.barrier()
                write_checkpoint(path, context.layout, self._run.spec.model, context.optimizers, state, of_stage)
        elif not self.holds(state):
            write_steering(path, state)
        self.step, self._steering = state.step, (state.lr_scale, state.beta)
        if self._run.best_step != state.best_step:
            self._run.update(best_step=state.best_step)
        self._run.prune_checkpoints(self._run.spec.train.keep_checkpoints)
