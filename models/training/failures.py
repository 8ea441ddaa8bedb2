"""The sentences for when training cannot go on: what happened, what to do, and what stands."""

from __future__ import annotations

import torch

from models.device import is_out_of_memory, out_of_memory_sentence
from models.runs.run_folder import RunFolder
from models.settings.run_spec import TrainConfig
from models.training.parallel.process_group import ProcessGroup
from models.training.record import DISK_FULL


def divergence_sentence(what: str, config: TrainConfig, saved_step: int) -> str:
    """For numbers that are none any more; `saved_step` is the last checkpoint's, -1 = there is none."""
    remedy = f"start again with a lower {' and '.join(config.rates)}"
    if saved_step >= 0:
        remedy += f", or resume from the last checkpoint (step {saved_step}) with the learning rate turned down"
    return f"The {what} is not a number any more, so training stopped: {remedy}."


def failure_sentence(
    error: Exception,
    run: RunFolder,
    device: torch.device,
    saved_step: int,
    process_group: ProcessGroup,
    remedy: str = "",
) -> str | None:
    """For an exception that ended the run's training; None for one that nobody foresaw.

    remedy: what was found to help where memory ran out.
    """
    if isinstance(error, ValueError):
        return str(error)
    stands = f" The last checkpoint, step {saved_step}, stands." if saved_step >= 0 else ""
    if is_out_of_memory(error):
        return out_of_memory_sentence(device, remedy) + stands
    if isinstance(error, OSError) and error.errno in DISK_FULL:
        return f"The disk that holds {run.folder} is full: free some space, then resume.{stands}"
    if isinstance(error, OSError):
        return f"{error.filename or run.folder} cannot be written or read: {error.strerror or error}.{stands}"
    if process_group.is_lost_process(error):
        begin = f"One of the {process_group.size} processes ended, so training stopped, and nothing more was saved."
        remedy = f"go on with terrarium train --resume {run.id}" if saved_step >= 0 else "start it again"
        return f"{begin}{stands or ' There is no checkpoint yet.'} See what that process said; then {remedy}."
    return None
