"""The checkpoints of a run, for those who choose among them. No torch import."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from models.files.atomic import read_json
from models.library.run_record import checkpoint_step
from models.runs.run_folder import RunFolder


@dataclass(frozen=True, kw_only=True)
class CheckpointInfo:
    """One checkpoint. `val_loss` is the validation loss of this very step, None where none was measured there."""

    step: int
    path: Path
    val_loss: float | None
    is_best: bool


def list_checkpoints(run: RunFolder) -> list[CheckpointInfo]:
    """All complete checkpoints, the oldest first; of a damaged one no loss is known."""
    return [_inspect(path, run.best_step) for path in run.checkpoints()]


def _inspect(path: Path, best_step: int | None) -> CheckpointInfo:
    step, loss = checkpoint_step(path), None
    with suppress(ValueError):
        state = read_json(path / "state.json")
        if state.get("validated_step") == step and isinstance(state.get("val_loss"), float):
            loss = state["val_loss"]
    return CheckpointInfo(step=step, path=path, val_loss=loss, is_best=step == best_step)
