"""Recipes as plain data, for the queue: their arguments and titles. No torch import."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from terrarium.models.recipes.demonstrations.demonstrations_table import DEMONSTRATIONS
from terrarium.models.recipes.mark import DEMONSTRATION, PRONOUNS, QUICK_START, TASK, absolute_path
from terrarium.models.recipes.tasks.published import ALL_RECIPES
from terrarium.models.runs.run_queue import RecipeSpec


def quick_start_spec(
    seed: int = 0, files: Sequence[Path | str] = (), minutes: float | None = None, *, portable: bool = False
) -> RecipeSpec:
    """Return the quick start with these arguments of QuickStart; paths are absolute, because it may start in
    another working directory.
    """
    absolute = [str(Path(file).resolve()) for file in files]
    return RecipeSpec(
        kind=QUICK_START, arguments={"seed": seed, "files": absolute, "minutes": minutes, "portable": portable}
    )


def task_spec(name: str, seed: int = 0, parent: str = "", data: str = "") -> RecipeSpec:
    """Return a task of ALL_RECIPES with these arguments of TaskRun."""
    arguments = {"name": name, "seed": seed, "parent": absolute_path(parent), "data": absolute_path(data)}
    return RecipeSpec(kind=TASK, arguments=arguments)


def demonstration_spec(name: str, base: str, seed: int = 0, own: str = "", rules: Sequence[str] = ()) -> RecipeSpec:
    """Return a demonstration of DEMONSTRATIONS with these arguments of DemonstrationRun."""
    arguments = {"name": name, "base": base, "seed": seed, "own": own, "rules": list(rules)}
    return RecipeSpec(kind=DEMONSTRATION, arguments=arguments)


def title_of(recipe: RecipeSpec) -> str:
    """Return the title of a recipe in the queue and while it runs."""
    name = recipe.name
    if recipe.kind == QUICK_START:
        files = recipe.arguments.get("files", ())
        return f"Quick start with {Path(files[0]).name}" if files else "Quick start"
    if recipe.kind == TASK and name in ALL_RECIPES:
        return ALL_RECIPES[name].title
    if recipe.kind == DEMONSTRATION and name in DEMONSTRATIONS:
        return DEMONSTRATIONS[name].title
    return "Pronouns" if recipe.kind == PRONOUNS else name or recipe.kind
