"""A job: it stops at any event, finds what an earlier one has begun, and takes the rest of a recipe from there."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from terrarium.models.events import Event, Finished, Notice, Phase, RunStarted, TrainMetrics, result_of
from terrarium.models.library.library import Library
from terrarium.models.library.run_record import inspect_run
from terrarium.models.recipes import pronoun_specs
from terrarium.models.recipes.job import RunJob, SingleRun, StoppedError
from terrarium.models.recipes.mark import RunMark, read_run_mark, write_run_mark
from terrarium.models.recipes.pronouns import PronounRecipe
from terrarium.models.recipes.recipes import RECIPES, resume
from terrarium.models.recipes.tasks import running
from terrarium.models.recipes.tasks.results import ALL, TaskResult
from terrarium.models.recipes.tasks.running import FROM_SCRATCH, TaskRun
from terrarium.models.recipes.tasks.tasks_table import with_steps
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.training.prepare import prepare_run
from tests.models.recipes.tasks.test_published_recipes import small, vader
from tests.models.training.support import make_run, make_spec


class Parts:
    """A recipe of two runs, with something to do before, between and after, which notes how it ended."""

    kind = "parts"

    def __init__(self, config: ModelConfig) -> None:
        self._config = config
        self.ended = ""

    def arguments(self) -> dict[str, Any]:
        return {"name": "two"}

    def _make(self, library: Library, name: str) -> RunFolder:
        spec = make_spec(library.home, self._config, steps=2, eval_interval=0)
        return result_of(prepare_run(library, dataclasses.replace(spec, name=name)))

    def work(self, job: RunJob) -> Generator[Event, None, str]:
        try:
            for part in ("first", ""):
                yield Phase(name=f"Before {part}")
                run = job.find(part) or self._make(job.library, part or "second")
                yield from job.trained(run, part)
            yield Phase(name="Measuring")
        except StoppedError:
            self.ended = "stopped"
            yield Notice(sentence="So far.")
            raise
        except GeneratorExit:
            self.ended = "closed"
            raise
        return "done"


@pytest.fixture
def recipe(tiny_config: ModelConfig) -> Parts:
    return Parts(tiny_config)


def test_from_the_first_event_to_the_result(library: Library, recipe: Parts) -> None:
    job = RunJob(library, recipe, device="cpu")
    live = set()
    for _ in job.events():
        if job.trainer is not None:
            assert job.live() is job.live(job.trainer.run.id) is job.trainer
            live.add(job.trainer.run.name)
        assert job.live("another") is None
    assert (job.result, recipe.ended, job.trainer) == ("done", "", None)
    assert live == {"first", "second"}
    assert job.run is not None
    assert job.run.name == "second"
    marks = [read_run_mark(info.folder) for info in library.list_runs()]
    assert {(mark.kind, mark.name, mark.part) for mark in marks if mark} == {
        ("parts", "two", "first"),
        ("parts", "two", ""),
    }
    assert len({mark.job for mark in marks if mark}) == 1


def test_it_stops_at_any_event(library: Library, recipe: Parts) -> None:
    n_events = len(list(RunJob(library, recipe, device="cpu").events()))
    for at in range(n_events):
        job, seen = RunJob(library, recipe, device="cpu"), []
        for i, event in enumerate(job.events()):
            seen.append(event)
            if i == at:
                job.request_stop()
        assert (job.result, recipe.ended, job.was_stopped) == (None, "stopped", True), at
        has_run = job.run is not None
        if has_run and job.run.status == "finished":  # type: ignore[union-attr]
            last = seen[-1]
            assert isinstance(seen[-2], Notice), "what the recipe says of it"
            assert isinstance(last, Finished)
            assert last.status == "stopped", "the run has finished, the recipe has not"
        else:
            assert isinstance(seen[-1], Notice), at
            assert not has_run or job.run.status == "stopped", at  # type: ignore[union-attr]


def test_a_stop_before_the_first_event(library: Library, recipe: Parts) -> None:
    job = RunJob(library, recipe, device="cpu")
    job.request_stop()
    assert list(job.events()) == []
    assert library.list_runs() == []


def test_closing_it_pauses_the_run(library: Library, recipe: Parts) -> None:
    job = RunJob(library, recipe, device="cpu")
    events = job.events()
    assert next(event for event in events if isinstance(event, TrainMetrics))
    events.close()
    assert (job.result, recipe.ended, job.trainer) == (None, "closed", None)
    assert [info.status for info in library.list_runs()] == ["paused"]


@pytest.mark.parametrize("stopped_in", ["first", "second"])
def test_the_rest_is_carried_out_whichever_run_is_resumed(
    library: Library, recipe: Parts, monkeypatch: pytest.MonkeyPatch, stopped_in: str
) -> None:
    monkeypatch.setattr("terrarium.models.recipes.recipes.RECIPES", {"parts": lambda arguments: recipe})
    job = RunJob(library, recipe, device="cpu")
    for event in job.events():
        if isinstance(event, TrainMetrics) and job.run is not None and job.run.name == stopped_in:
            job.request_stop(status="paused")
    assert job.run is not None
    rest = resume(library, RunFolder.open(job.run.folder), device="cpu")
    events = list(rest.events())
    started = [event.name for event in events if isinstance(event, RunStarted)]
    assert started == ["first", "second"][stopped_in == "second" :], "what has finished is only loaded"
    assert [event.status for event in events if isinstance(event, Finished)] == ["finished", "finished"]
    assert rest.result == "done"
    assert sorted(info.name for info in library.list_runs()) == ["first", "second"], "no run is made again"
    assert {info.status for info in library.list_runs()} == {"finished"}


def test_the_result_of_a_recipe_is_not_forgotten_when_another_uses_its_run(library: Library, recipe: Parts) -> None:
    run = make_run(library, ModelConfig())
    first = RunMark(kind="parts", arguments={"name": "one"}, result={"score": 1})
    write_run_mark(run.folder, first)
    RunJob(library, recipe).mark(run)
    assert read_run_mark(run.folder) == first
    write_run_mark(run.folder, dataclasses.replace(first, result=None))
    RunJob(library, recipe, resumed=run).mark(run)
    assert read_run_mark(run.folder) == dataclasses.replace(first, result=None), "of a resumed run, nothing is written"
    RunJob(library, recipe).mark(run)
    found = read_run_mark(run.folder)
    assert found is not None
    assert found.name == "two"


def test_a_single_run_has_no_mark(library: Library, tiny_config: ModelConfig) -> None:
    run = make_run(library, tiny_config)
    job = RunJob(library, SingleRun(), device="cpu", resumed=run)
    assert [event.status for event in job.events() if isinstance(event, Finished)] == ["finished"]
    assert read_run_mark(run.folder) is None


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        ("quick-start", {"seed": 3, "files": ["/a.txt"], "minutes": 2.0, "portable": True}),
        ("task", {"name": "mood", "seed": 1, "minutes": 3.0, "parent": "p", "data": "d", "own_rows": True}),
        ("demonstration", {"name": "taught", "base": "b", "seed": 1, "n_each": 9, "own": "Mine", "rules": ["A rule."]}),
        ("pronouns", {"seed": 4}),
    ],
)
def test_a_recipe_is_made_again_from_its_arguments(kind: str, arguments: dict[str, Any]) -> None:
    assert RECIPES[kind](arguments).arguments() == arguments


@pytest.mark.parametrize("stopped_in", [0, 1])
def test_a_task_keeps_its_twin_from_scratch(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped_in: int
) -> None:
    recipe = small("sentiment")
    monkeypatch.setattr(running, "ALL_RECIPES", {"sentiment": recipe})
    package = str(vader(tmp_path))
    first = RunJob(library, TaskRun(recipe, data=package), device="cpu")
    list(first.events())
    assert first.run is not None
    job, n_started = RunJob(library, TaskRun(recipe, data=package, parent=first.run.id), device="cpu"), 0
    for event in job.events():
        n_started += isinstance(event, RunStarted)
        if isinstance(event, TrainMetrics) and n_started == stopped_in + 1:
            job.request_stop()
    assert job.run is not None
    assert job.result is None
    n_runs = len(library.list_runs())
    rest = resume(library, RunFolder.open(job.run.folder), device="cpu")
    list(rest.events())
    assert isinstance(rest.result, TaskResult)
    assert FROM_SCRATCH in rest.result.groups[ALL].baselines
    assert len(library.list_runs()) == n_runs, "what was begun is found again"


def test_a_task_that_was_cut_off_before_its_scores_says_so(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = small("sentiment")
    monkeypatch.setattr(running, "ALL_RECIPES", {"sentiment": recipe})
    job = RunJob(library, TaskRun(recipe, data=str(vader(tmp_path))), device="cpu")
    events = job.events()
    assert next(event for event in events if isinstance(event, Finished))
    events.close()
    assert job.run is not None
    info = inspect_run(job.run.folder)
    assert (info.status, info.is_unmeasured, info.can_resume) == ("finished", True, True)
    rest = resume(library, RunFolder.open(job.run.folder), device="cpu")
    assert not [event for event in rest.events() if isinstance(event, RunStarted)]
    assert isinstance(rest.result, TaskResult)
    info = inspect_run(job.run.folder)
    assert (info.is_unmeasured, info.can_resume) == (False, False)


def test_the_pronoun_models_are_finished_later(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    short = with_steps(pronoun_specs.TRAINING, 2)
    short = dataclasses.replace(short, batch_size=8, eval_batches=1, eval_interval=2, sample_interval=0)
    monkeypatch.setattr(pronoun_specs, "TRAINING", short)
    job, n = RunJob(library, PronounRecipe(), device="cpu"), 0
    for event in job.events():
        n += isinstance(event, RunStarted)
        if isinstance(event, TrainMetrics) and n == 2:
            job.request_stop()
    assert job.run is not None
    rest = resume(library, RunFolder.open(job.run.folder), device="cpu")
    started = [event.name for event in rest.events() if isinstance(event, RunStarted)]
    assert started == [job.run.name], "the first one was finished, and measured"
    assert isinstance(rest.recipe, PronounRecipe)
    assert set(rest.recipe.results) == set(pronoun_specs.KINDS)
