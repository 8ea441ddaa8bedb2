"""Resumes what a run belongs to: a quick start, a task, a demonstration, or its training alone."""

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
    """Trains a run, and perhaps more: a Trainer, or a recipe that has a live one at times."""

    def events(self) -> Generator[Event, None, None]:
        """All of it; closing the generator saves and pauses the run."""

    def request_stop(self, keep: bool = True, status: str = "stopped") -> None:
        """Stop after the current step, or at the next event where nothing is trained."""


class _Resumed(Protocol):
    def __call__(self, library: Library, run: RunFolder, *, device: str = "auto") -> RunJob | None:
        """The rest of a recipe; None where the run's mark names none that there is."""


RECIPES: Mapping[str, _Resumed] = {
    QUICK_START: QuickStart.resumed,
    TASK: TaskRun.resumed,
    DEMONSTRATION: DemonstrationRun.resumed,
}
"""By the kind of the mark: how the recipe of a run is resumed."""


def resume(library: Library, run: RunFolder, *, device: str = "auto") -> RunJob:
    """What trains a run from its last checkpoint, and then does what else its recipe has to do.

    A run of no recipe, or whose mark is damaged, is only trained.
    """
    mark = find_run_mark(run.folder)
    recipe = RECIPES[mark.kind](library, run, device=device) if mark is not None and mark.kind in RECIPES else None
    return recipe or Trainer(run, library, device=device)
