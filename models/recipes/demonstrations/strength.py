"""Measures the base of a demonstration, and trains a fork of it for longer where it is too weak."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Generator

from terrarium.models.alignment.stage_tree import world_seed_of
from terrarium.models.evaluation.held_out_questions import evaluate
from terrarium.models.evaluation.record import read_evaluation, write_evaluation
from terrarium.models.events import Evaluated, Event, Phase
from terrarium.models.library.library import Library
from terrarium.models.library.run_record import checkpoint_step
from terrarium.models.recipes.demonstrations.bases import can_be_trained_on, is_strong, steps_of_strong
from terrarium.models.recipes.demonstrations.demonstrated import mark_stage
from terrarium.models.recipes.demonstrations.demonstration import check_can_reply, load_chat_model
from terrarium.models.recipes.demonstrations.stages import StageControl, StageStoppedError
from terrarium.models.runs.fork import fork_run
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.tiny_world.world import World
from terrarium.models.training.trainer import Trainer


def measure_base(library: Library, base: str, device: str = "auto") -> Generator[Event, None, float]:
    """Ask a run of the library held-out questions, and keep what share it answers (models.evaluation.record).

    Yields the events of that; ValueError where it cannot be asked.
    """
    run = RunFolder.open(library.find_run(base))
    check_can_reply(library, base)
    yield Phase(name=f"Measuring {run.name}")
    model, tokenizer = load_chat_model(library, base, device)
    accuracy = 0.0
    for event in evaluate(model, tokenizer, World(world_seed_of(run))):
        if isinstance(event, Evaluated):
            write_evaluation(run.folder, event)
            accuracy = event.accuracy
        yield event
    return accuracy


def base_accuracy(library: Library, base: RunFolder, device: str = "auto") -> Generator[Event, None, float]:
    """The share of held-out questions that a base answers: as it was measured once, else measured now, and kept."""
    with contextlib.suppress(ValueError):  # what is damaged is measured again
        evaluated = read_evaluation(base.folder)
        if evaluated is not None:
            return evaluated.accuracy
    return (yield from measure_base(library, base.id, device))


def strong_base(
    library: Library, base: RunFolder, device: str, control: StageControl
) -> Generator[Event, None, tuple[RunFolder, float]]:
    """A base that is good enough, and its accuracy: the one that is given; or where it is too weak, but learned Tiny
    World here, a fork of it with more steps, which is trained unless there is one already.

    Raises:
        StageStoppedError: the training was stopped.
    """
    accuracy = yield from base_accuracy(library, base, device)
    if is_strong(accuracy) or not can_be_trained_on(base.spec, base.status):
        return base, accuracy
    last = base.latest_checkpoint()
    if last is None:
        return base, accuracy
    control.stage = f"Training {base.name} on"
    yield Phase(name=control.stage)
    steps = steps_of_strong(checkpoint_step(last))
    longer = _known_fork(library, base, steps)
    if longer is None:
        name = library.free_run_name(f"{base.name}, trained on")
        longer = fork_run(library, base, name=name, train=dataclasses.replace(base.spec.train, steps=steps))
    if control.mark is not None:
        mark_stage(longer.folder, control.mark)
    if longer.status != "finished":
        control.last = longer
        yield from control.trained(Trainer(longer, library, device))
        longer = RunFolder.open(longer.folder)
    if longer.status != "finished":
        raise StageStoppedError(f"The run {longer.name!r} was stopped before its end.")
    control.stage = ""
    return longer, (yield from base_accuracy(library, longer, device))


def _known_fork(library: Library, base: RunFolder, steps: int) -> RunFolder | None:
    """The newest run that trains this one on to so many steps."""
    for info in library.list_runs():
        is_fork = info.parent is not None and info.parent[0] == base.id and not info.is_tuned
        if is_fork and info.total_steps == steps and info.problem is None and info.status != "failed":
            return RunFolder.open(info.folder)
    return None
