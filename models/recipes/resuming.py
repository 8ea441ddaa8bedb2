"""Resumes the recipe of a run (a quick start, a task, a demonstration), or its training alone."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Protocol

from terrarium.models.events import Event
from terrarium.models.library.library import Library
from terrarium.models.recipes.demonstrations.running import DemonstrationRun
from terrarium.models.recipes.mark import DEMONSTRATION, QUICK_START, TASK, find_run_mark
from terrarium.models.recipes.quickstart import QuickStart
from terrarium.models.recipes.tasks.running import TaskRun
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.training.trainer import Trainer


class RunJob(Protocol):
    """A job that trains a run, and perhaps more: a Trainer, or a recipe that has a live Trainer at times."""

    def events(self) -> Generator[Event, None, None]:
        """Run the job; closing the generator saves and pauses the run."""

    def request_stop(self, keep: bool = True, status: str = "stopped") -> None:
        """Stop after the current step, or at the next event if nothing is being trained."""


class _Resumed(Protocol):
    def __call__(self, library: Library, run: RunFolder, *, device: str = "auto") -> RunJob | None:
        """Return the rest of a recipe; None if the run's mark names no known one."""


RECIPES: Mapping[str, _Resumed] = {
    QUICK_START: QuickStart.resumed,
    TASK: TaskRun.resumed,
    DEMONSTRATION: DemonstrationRun.resumed,
}
"""How the recipe of a run is resumed, by the kind of its mark."""


def resume(library: Library, run: RunFolder, *, device: str = "auto") -> RunJob:
    """Return the job that continues a run from its last checkpoint, and then the rest of its recipe.

    A run without a recipe, or with a damaged mark, is only trained.
    """
    mark = find_run_mark(run.folder)
    recipe = RECIPES[mark.kind](library, run, device=device) if mark is not None and mark.kind in RECIPES else None
    return recipe or Trainer(run, library, device=device)
