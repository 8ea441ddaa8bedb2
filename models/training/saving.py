"""Writes the checkpoints of a run while it trains."""

from __future__ import annotations

from models.runs.checkpoint_state import TrainState, write_lr_scale
from models.runs.run_folder import RunFolder
from models.training.checkpoint import write_checkpoint
from models.training.parallel.process_group import Command
from models.training.setup import TrainingContext


class Saver:
    """Writes a run's checkpoints. `step` is that of the last one, -1 before the first."""

    def __init__(self, run: RunFolder) -> None:
        self._run = run
        self._lr_scale = 1.0
        self.step = -1

    def resume_from(self, state: TrainState) -> None:
        """Start from a run that was resumed from a checkpoint with this state."""
        self.step, self._lr_scale = state.step, state.lr_scale

    def holds(self, state: TrainState) -> bool:
        """Whether the last checkpoint has this state."""
        return (self.step, self._lr_scale) == (state.step, state.lr_scale)

    def write(self, context: TrainingContext, state: TrainState) -> None:
        """Write whatever is missing of this step's checkpoint; may be called again after the disk was full."""
        path = self._run.checkpoint_path(state.step)
        val_loss = state.val_loss if state.validated_step == state.step else None
        if val_loss is not None and (state.best_loss is None or val_loss < state.best_loss):
            state.best_step, state.best_loss = state.step, val_loss
        if not path.exists():
            state.log_sizes = self._run.sync_logs()
            with context.process_group.together(Command.SAVE):
                context.process_group.barrier()
                write_checkpoint(path, context.layout, self._run.spec.model, context.optimizers, state)
        elif not self.holds(state):
            write_lr_scale(path, state.lr_scale)
        self.step, self._lr_scale = state.step, state.lr_scale
        if self._run.best_step != state.best_step:
            self._run.update(best_step=state.best_step)
        self._run.prune_checkpoints(self._run.spec.train.keep_checkpoints)
