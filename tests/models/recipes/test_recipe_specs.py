"""Recipes that wait in the queue: what each becomes, and why one cannot start."""

from __future__ import annotations

import dataclasses
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from terrarium.app.cli import main
from terrarium.models.events import Event, Phase
from terrarium.models.library.library import Library
from terrarium.models.recipes import own_text, quickstart
from terrarium.models.recipes.demonstrations.running import DemonstrationRun
from terrarium.models.recipes.quickstart import QuickStart
from terrarium.models.recipes.recipe_specs import (
    demonstration_spec,
    quick_start_spec,
    task_spec,
    title_of,
)
from terrarium.models.recipes.recipes import make_job
from terrarium.models.recipes.tasks.running import TaskRun
from terrarium.models.runs.run_queue import RecipeSpec, RunQueue


def test_each_kind_becomes_what_carries_it_out(library: Library, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("Once upon a time.\n" * 100, encoding="utf-8")
    for recipe, kind, title in (
        (quick_start_spec(3), QuickStart, "Quick start"),
        (quick_start_spec(files=(text,), minutes=0.5), QuickStart, "Quick start with text.txt"),
        (task_spec("mood", 1), TaskRun, "Moods"),
        (demonstration_spec("taught", "base", 2), DemonstrationRun, ""),
    ):
        made = make_job(library, recipe).recipe
        assert isinstance(made, kind)
        assert recipe.arguments.items() <= made.arguments().items()
        assert title_of(recipe) == title or not title


@pytest.mark.parametrize(
    ("recipe", "sentence"),
    [
        (RecipeSpec(kind="task", arguments={"name": "telepathy"}), "no recipe 'telepathy'"),
        (RecipeSpec(kind="dream"), "no recipe 'dream'"),
        (RecipeSpec(kind="task", arguments={"name": "mood", "colour": "red"}), "choose them again"),
        (quick_start_spec(files=("/nowhere/gone.txt",)), "gone.txt is gone: put it back"),
    ],
)
def test_what_cannot_start_says_why(library: Library, recipe: RecipeSpec, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        make_job(library, recipe)


def test_commands_queue_recipes_and_the_queue_carries_them_out(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TERRARIUM_HOME", str(library.home))
    monkeypatch.setattr(quickstart, "TEXT_MODEL", dataclasses.replace(quickstart.TEXT_MODEL, n_layer=1, d_model=32))
    monkeypatch.setattr(quickstart, "PROBE_STEPS", 4)
    monkeypatch.setattr(own_text, "MIN_STEPS", 8)
    text = tmp_path / "text.txt"
    words = random.Random(0).choices(("The cat", "a dog", "sat", "ran", "to the park.", "on", "mats"), k=6000)
    text.write_text("\n".join(" ".join(words[i : i + 8]) for i in range(0, len(words), 8)), encoding="utf-8")
    assert main(["quickstart", "--data", str(text), "--minutes", "0.001", "--queue"]) == 0
    assert main(["task", "mood", "--seed", "4", "--queue"]) == 0
    assert "Quick start with text.txt" in capsys.readouterr().out
    queue = RunQueue(library)
    assert [item.recipe.arguments["seed"] for item in queue.items() if item.recipe is not None] == [0, 4]
    queue.remove(queue.items()[1].id)
    queue.add_recipe(RecipeSpec(kind="dream"), "A dream")
    assert main(["queue", "run"]) == 1
    out = capsys.readouterr().out
    assert out.startswith("finished   Quick start with text.txt")
    assert "failed     A dream" in out
    assert [info.status for info in library.list_runs()] == ["finished"]
    assert [item.name for item in queue.items()] == ["A dream"], "it stays, with the reason"
    assert main(["task", "mood", "--seeds", "2", "--queue"]) == 2


def test_a_recipe_that_is_stopped_before_it_trains_stays_in_the_queue(
    library: Library, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Measuring:
        """A recipe that Ctrl-C stops while it measures what it begins with."""

        def events(self) -> Iterator[Event]:
            yield Phase(name="Measuring")
            os.kill(os.getpid(), signal.SIGINT)
            yield Phase(name="Stopping")

        def request_stop(self) -> None:
            pass

    monkeypatch.setenv("TERRARIUM_HOME", str(library.home))
    monkeypatch.setattr("terrarium.models.recipes.recipes.make_job", lambda *args: Measuring())
    RunQueue(library).add_recipe(RecipeSpec(kind="demonstration", arguments={"name": "taught"}), "Taught")
    assert main(["queue", "run"]) == 130
    assert capsys.readouterr().out.startswith("stopped    Taught")
    assert [item.name for item in RunQueue(library).items()] == ["Taught"]
