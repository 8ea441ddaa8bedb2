"""Recipes in the queue: their titles, and the objects that run them. No torch import by itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from terrarium.models.library.library import Library
from terrarium.models.recipes.demonstrations.demonstrations_table import DEMONSTRATIONS
from terrarium.models.recipes.mark import DEMONSTRATION, QUICK_START, TASK
from terrarium.models.recipes.tasks.published import ALL_RECIPES
from terrarium.models.runs.run_queue import QueuedRecipe

if TYPE_CHECKING:
    from terrarium.models.recipes.resuming import RunJob


def queued_quick_start(
    seed: int = 0, files: Sequence[Path | str] = (), minutes: float | None = None, *, portable: bool = False
) -> QueuedRecipe:
    """Return a queued quick start with the arguments of QuickStart; paths are absolute, because it may start in
    another working directory.
    """
    absolute = [str(Path(file).resolve()) for file in files]
    return QueuedRecipe(
        kind=QUICK_START, arguments={"seed": seed, "files": absolute, "minutes": minutes, "portable": portable}
    )


def queued_task(name: str, seed: int = 0, parent: str = "", data: str = "") -> QueuedRecipe:
    """Return a queued task of ALL_RECIPES with the arguments of TaskRun."""
    arguments = {"name": name, "seed": seed, "parent": _absolute(parent), "data": _absolute(data)}
    return QueuedRecipe(kind=TASK, arguments=arguments)


def queued_demonstration(name: str, base: str, seed: int = 0, own: str = "", rules: Sequence[str] = ()) -> QueuedRecipe:
    """Return a queued demonstration of DEMONSTRATIONS with the arguments of DemonstrationRun."""
    arguments = {"name": name, "base": base, "seed": seed, "own": own, "rules": list(rules)}
    return QueuedRecipe(kind=DEMONSTRATION, arguments=arguments)


def _absolute(text: str) -> str:
    """Return the absolute path of a file or folder; the name of something in the library is unchanged."""
    path = Path(text).expanduser()
    return str(path.resolve()) if text and path.exists() else text


def title_of(recipe: QueuedRecipe) -> str:
    """Return the title of a recipe in the queue and while it runs."""
    name = recipe.name
    if recipe.kind == QUICK_START:
        files = recipe.arguments.get("files", ())
        return f"Quick start with {Path(files[0]).name}" if files else "Quick start"
    if recipe.kind == TASK and name in ALL_RECIPES:
        return ALL_RECIPES[name].title
    if recipe.kind == DEMONSTRATION and name in DEMONSTRATIONS:
        return DEMONSTRATIONS[name].title
    return name or recipe.kind


def make_recipe(library: Library, recipe: QueuedRecipe, device: str = "auto") -> RunJob:
    """Make the object that runs a recipe.

    Raises:
        ValueError: if there is no such recipe, for example from a newer Terrarium, or its arguments are invalid.
    """
    known = {QUICK_START: {""}, TASK: ALL_RECIPES.keys(), DEMONSTRATION: DEMONSTRATIONS.keys()}
    if recipe.name not in known.get(recipe.kind, ()):
        raise ValueError(
            f"This Terrarium has no recipe {recipe.name or recipe.kind!r}: update it, or remove this from the queue."
        )
    arguments = dict(recipe.arguments)
    name = arguments.pop("name", "")
    try:
        if recipe.kind == QUICK_START:
            from terrarium.models.recipes.quickstart import QuickStart

            _check_files(arguments.get("files", ()))
            return QuickStart(library, device=device, **arguments)
        if recipe.kind == TASK:
            from terrarium.models.recipes.tasks.running import TaskRun

            return TaskRun(library, ALL_RECIPES[name], device=device, **arguments)
        from terrarium.models.recipes.demonstrations.running import DemonstrationRun

        return DemonstrationRun(library, name, device=device, **arguments)
    except TypeError as error:
        raise ValueError(f"The queue's settings of {title_of(recipe)!r} are not known: queue it again.") from error


def _check_files(files: Sequence[str]) -> None:
    gone = next((file for file in files if not Path(file).is_file()), None)
    if gone is not None:
        raise ValueError(f"{gone} is gone: put it back and try again, or remove this from the queue.")
