"""A library with small runs that really learned their tasks, trained once for all tests that look at such runs."""

from __future__ import annotations

import dataclasses

from models.events import result_of
from models.library.library import Library
from models.training.prepare import prepare_run
from tests.models.tasks.small_tasks import make_dataset, make_task_spec
from tests.models.training.support import train

_RUNS = (
    ("classification", "encoder-only", 6),  # has learned little
    ("classification", "encoder-only", 40),
    ("multi-label", "encoder-only", 20),
    ("regression", "decoder-only", 4),
    ("tagging", "encoder-only", 40),
    ("span", "encoder-only", 150),
    ("text-to-text", "encoder-decoder", 4),
    ("text-to-text", "decoder-only", 4),  # said to write code
)


def learn_tasks(library: Library) -> None:
    """Train a run for each task, called as the task and its topology."""
    for task, topology, steps in _RUNS:
        make_dataset(library, task)
        spec = make_task_spec(library, task, topology, steps=steps, eval_interval=steps, checkpoint_interval=steps)
        if (task, topology) == ("text-to-text", "decoder-only"):
            spec = dataclasses.replace(spec, data=dataclasses.replace(spec.data, metric="pass_at_1"))
        train(result_of(prepare_run(library, spec)), library)
