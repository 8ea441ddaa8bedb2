"""The loop of the worker processes, which wait for the main process's commands and take part in each."""

from __future__ import annotations

from pathlib import Path

from terrarium.models.events import result_of
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.training.checkpoint import gather
from terrarium.models.training.evaluator import gather_full_model, reduced_validation_sums, weights_are_finite
from terrarium.models.training.parallel.process_group import Command, ProcessGroup
from terrarium.models.training.setup import TrainingContext, set_up
from terrarium.models.training.update import apply_gradients, compute_gradients


def follow(library: Library, device: str, process_group: ProcessGroup) -> None:
    """Train the run whose folder the main process broadcasts, until it ends.

    Raises:
        ValueError: if a file of the run is missing or damaged, or another process has ended.
    """
    try:
        _follow(library, device, process_group)
    except RuntimeError as error:
        if not process_group.is_lost_process(error):
            raise
        raise ValueError(
            f"Process {process_group.rank + 1} of {process_group.size} ended because another process ended."
        ) from error


def _follow(library: Library, device: str, process_group: ProcessGroup) -> None:
    run = RunFolder.open(Path(process_group.broadcast_text("")))
    context = result_of(set_up(run, library, device, None, process_group))
    command, numbers = process_group.receive_command()
    while command is not Command.END:
        _execute(command, numbers, context, run)
        command, numbers = process_group.receive_command()


def _execute(command: Command, numbers: list[float], context: TrainingContext, run: RunFolder) -> None:
    config = run.spec.train
    if command is Command.GRADIENTS:
        for _ in compute_gradients(context, config, int(numbers[0])):
            pass
    elif command is Command.UPDATE:
        norm, lr_multiple, measure_layers = numbers
        apply_gradients(context, config, norm, lr_multiple, measure_layers=bool(measure_layers))
    elif command is Command.VALIDATE:
        reduced_validation_sums(context, int(numbers[0]))
    elif command is Command.CHECK:
        weights_are_finite(context)
    elif command is Command.SHOW:
        gather_full_model(context)
    elif command is Command.SAVE:
        context.process_group.barrier()
        gather(context.layout, context.optimizers)
