"""What the processes beside the main one do: they wait for its commands, and take part in what those begin."""

from __future__ import annotations

from pathlib import Path

from models.library.library import Library
from models.runs.run_folder import RunFolder
from models.training.checkpoint import gather
from models.training.evaluator import shown_together, sums_together, weights_are_finite
from models.training.parallel.process_group import Command, ProcessGroup
from models.training.setup import TrainingContext, set_up
from models.training.update import apply_gradients, compute_gradients


def follow(library: Library, device: str, process_group: ProcessGroup) -> None:
    """Help the main process to train the run whose folder it tells, until it ends.

    Raises:
        ValueError: where a file of the run is missing or damaged, or another process has ended.
    """
    try:
        _follow(library, device, process_group)
    except RuntimeError as error:
        if not process_group.is_lost_process(error):
            raise
        raise ValueError(
            f"Process {process_group.rank + 1} of {process_group.size} ends because another one did."
        ) from error


def _follow(library: Library, device: str, process_group: ProcessGroup) -> None:
    run = RunFolder.open(Path(process_group.broadcast_text("")))
    preparing = set_up(run, library, device, None, process_group)
    while True:
        try:
            next(preparing)
        except StopIteration as done:
            context: TrainingContext = done.value
            break
    command, numbers = process_group.receive_command()
    while command is not Command.END:
        _obey(command, numbers, context, run)
        command, numbers = process_group.receive_command()


def _obey(command: Command, numbers: list[float], context: TrainingContext, run: RunFolder) -> None:
    config = run.spec.train
    if command is Command.GRADIENTS:
        for _ in compute_gradients(context, config, int(numbers[0])):
            pass
    elif command is Command.UPDATE:
        norm, lr_multiple, is_looked_at = numbers
        apply_gradients(context, config, norm, lr_multiple, is_looked_at=bool(is_looked_at))
    elif command is Command.VALIDATE:
        sums_together(context, int(numbers[0]))
    elif command is Command.CHECK:
        weights_are_finite(context)
    elif command is Command.SHOW:
        shown_together(context)
    elif command is Command.SAVE:
        context.process_group.barrier()
        gather(context.layout, context.optimizers)
