"""Measures the base of a demonstration, and trains a fork of it for longer if it is too weak."""

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
from terrarium.models.recipes.demonstrations.demonstration import check_can_reply, load_chat_model
from terrarium.models.recipes.demonstrations.stages import Stages
from terrarium.models.recipes.mark import QUICK_START, add_result, find_run_mark
from terrarium.models.runs.fork import fork_run
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.tiny_world.world import World


def measure_base(library: Library, base: str, device: str = "auto") -> Generator[Event, None, float]:
    """Ask a run of the library held-out questions, and save its accuracy (models.evaluation.record).

    Yields the events of the evaluation; ValueError if the run cannot be asked.
    """
    run = RunFolder.open(library.find_run(base))
    check_can_reply(library, base)
    yield Phase(name=f"Measuring {run.name}")
    model, tokenizer = load_chat_model(library, base, device)
    accuracy = 0.0
    for event in evaluate(model, tokenizer, World(world_seed_of(run))):
        if isinstance(event, Evaluated):
            write_evaluation(run.folder, event)
            mark = find_run_mark(run.folder)
            if mark is not None and mark.kind == QUICK_START:
                add_result(run.folder, {"accuracy": event.accuracy})
            accuracy = event.accuracy
        yield event
    return accuracy


def base_accuracy(library: Library, base: RunFolder, device: str = "auto") -> Generator[Event, None, float]:
    """Return a base's held-out accuracy: the saved one, else it is measured and saved."""
    with contextlib.suppress(ValueError):  # a damaged file is measured again
        evaluated = read_evaluation(base.folder)
        if evaluated is not None:
            return evaluated.accuracy
    return (yield from measure_base(library, base.id, device))


def strong_base(stages: Stages, base: RunFolder) -> Generator[Event, None, tuple[RunFolder, float]]:
    """Return a base that is good enough, and its accuracy.

    This is the given base or, if it is too weak but was trained on Tiny World here, a fork with more steps, which is
    trained unless it exists.
    """
    library, device = stages.library, stages.device
    accuracy = yield from base_accuracy(library, base, device)
    if is_strong(accuracy) or not can_be_trained_on(base.spec, base.status):
        return base, accuracy
    last = base.latest_checkpoint()
    if last is None:
        return base, accuracy
    stages.current = f"Training {base.name} on"
    yield Phase(name=stages.current)
    steps = steps_of_strong(checkpoint_step(last))
    longer = _known_fork(library, base, steps)
    if longer is None:
        name = library.free_run_name(f"{base.name}, trained on")
        longer = fork_run(library, base, name=name, train=dataclasses.replace(base.spec.train, steps=steps))
    longer = yield from stages.finish(longer)
    stages.current = ""
    return longer, (yield from base_accuracy(library, longer, device))


def _known_fork(library: Library, base: RunFolder, steps: int) -> RunFolder | None:
    """Return the newest fork of this run with that many steps."""
    for info in library.list_runs():
        is_fork = info.parent is not None and info.parent[0] == base.id and not info.is_tuned
        if is_fork and info.total_steps == steps and info.problem is None and info.status != "failed":
            return RunFolder.open(info.folder)
    return None
