"""The kinds of recipes, and how a job is made: for a recipe out of the queue, or for the rest of one, from a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from terrarium.models.library.library import Library
from terrarium.models.recipes.demonstrations.running import DemonstrationRun
from terrarium.models.recipes.job import Recipe, RunJob, SingleRun
from terrarium.models.recipes.mark import DEMONSTRATION, PRONOUNS, QUICK_START, TASK, find_run_mark
from terrarium.models.recipes.pronouns import PronounRecipe
from terrarium.models.recipes.quickstart import QuickStart
from terrarium.models.recipes.recipe_specs import title_of
from terrarium.models.recipes.tasks.running import TaskRun
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.runs.run_queue import RecipeSpec

RECIPES: Mapping[str, Callable[[Mapping[str, Any]], Recipe]] = {
    QUICK_START: QuickStart.made_from,
    TASK: TaskRun.made_from,
    DEMONSTRATION: DemonstrationRun.made_from,
    PRONOUNS: PronounRecipe.made_from,
}
"""How a recipe is made from its arguments, by its kind. They raise KeyError for a name that they do not know."""


def make_job(library: Library, spec: RecipeSpec, device: str = "auto") -> RunJob:
    """Make the job that carries out a recipe from its beginning.

    Raises:
        ValueError: if there is no such recipe, for example from a newer Terrarium, or its arguments are invalid.
    """
    try:
        recipe = RECIPES[spec.kind](spec.arguments)
    except KeyError as error:
        raise ValueError(
            f"This Terrarium has no recipe {spec.name or spec.kind!r}: update it, or choose another recipe."
        ) from error
    except TypeError as error:
        raise ValueError(
            f"The settings of {title_of(spec)!r} are not known to this version: choose them again."
        ) from error
    _check_files(spec.arguments.get("files", ()))
    return RunJob(library, recipe, device=device)


def resume(library: Library, run: RunFolder, *, device: str = "auto") -> RunJob:
    """Return the job that continues a run from its last checkpoint, and then the rest of its recipe.

    A run without a recipe, or with a damaged or unknown mark, is only trained.
    """
    mark, recipe = find_run_mark(run.folder), None
    if mark is not None and mark.kind in RECIPES:
        try:
            recipe = RECIPES[mark.kind](mark.arguments)
        except (KeyError, TypeError, ValueError):
            recipe = None
    return RunJob(library, recipe or SingleRun(), device=device, resumed=run)


def _check_files(files: Sequence[str]) -> None:
    gone = next((file for file in files if not Path(file).is_file()), None)
    if gone is not None:
        raise ValueError(f"{gone} is gone: put it back and try again.")
