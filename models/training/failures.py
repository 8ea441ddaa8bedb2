"""Error messages for training that cannot continue: what happened, what to do, and what is saved."""

from __future__ import annotations

import torch

from terrarium.models.device import describe_out_of_memory, is_out_of_memory
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.run_spec import TrainConfig
from terrarium.models.training.parallel.process_group import ProcessGroup
from terrarium.models.training.record import DISK_FULL


def divergence_sentence(what: str, config: TrainConfig, saved_step: int) -> str:
    """Return the message for a loss, gradient or model that is not finite. saved_step: the last checkpoint, or -1."""
    remedy = f"start again with a lower {' and '.join(config.learning_rates)}"
    if saved_step >= 0:
        remedy += f", or resume from the last checkpoint (step {saved_step}) with the learning rate turned down"
    return f"The {what} is not a number (NaN or infinite), so training stopped: {remedy}."


def failure_sentence(
    error: Exception,
    run: RunFolder,
    device: torch.device,
    saved_step: int,
    process_group: ProcessGroup,
    remedy: str = "",
) -> str | None:
    """Return the message for an exception that ended the training; None for an unexpected one.

    remedy: a batch size that fits, if memory ran out.
    """
    if isinstance(error, ValueError):
        return str(error)
    kept = f" The checkpoint of step {saved_step} is kept." if saved_step >= 0 else ""
    if is_out_of_memory(error):
        return describe_out_of_memory(device, remedy) + kept
    if isinstance(error, OSError) and error.errno in DISK_FULL:
        return f"The disk that holds {run.folder} is full: free some space, then resume.{kept}"
    if isinstance(error, OSError):
        return f"Could not access {error.filename or run.folder}: {error.strerror or error}.{kept}"
    if process_group.is_lost_process(error):
        begin = f"One of the {process_group.size} processes ended, so training stopped without saving."
        remedy = f"resume with terrarium train --resume {run.id}" if saved_step >= 0 else "start it again"
        return f"{begin}{kept or ' There is no checkpoint yet.'} See the output of that process, then {remedy}."
    return None
