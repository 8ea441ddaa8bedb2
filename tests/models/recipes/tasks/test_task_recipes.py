"""The recipes of Tiny World's tasks from end to end, on a handful of steps and rows."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from terrarium.models.corpora.corpus import open_corpus
from terrarium.models.events import Event, Phase, TrainMetrics
from terrarium.models.library.library import Library
from terrarium.models.metrics.metrics_table import METRICS
from terrarium.models.metrics.report import report_from_dict
from terrarium.models.recipes.job import RunJob
from terrarium.models.recipes.recipes import resume
from terrarium.models.recipes.tasks import running
from terrarium.models.recipes.tasks.results import ALL, TaskResult, read_result, summary_of
from terrarium.models.recipes.tasks.running import TaskRun
from terrarium.models.recipes.tasks.tasks_table import TASK_RECIPES, Bar, with_steps
from terrarium.models.runs.run_folder import RunFolder
from tests.models.recipes.small_recipes import few_rows, small

OUTCOMES = {"right", "wrong value", "exception", "limit", "not supported"}


@pytest.fixture(scope="module", autouse=True)
def of_few_rows() -> Iterator[None]:
    """Whichever test comes first: with all rows, the six recipes take two minutes."""
    with few_rows():
        yield


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    return Library(tmp_path_factory.mktemp("home"))


Results = Callable[[str], tuple[TaskResult, list[Event]]]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """The library of the runs that several tests look at."""
    return Library(tmp_path_factory.mktemp("recipes"))


@pytest.fixture(scope="module")
def results(home: Library) -> Results:
    """What a recipe comes to, run when it is first asked for, and its events."""
    return functools.cache(lambda name: run_recipe(home, TaskRun(small(name))))


def run_recipe(library: Library, task: TaskRun) -> tuple[TaskResult, list[Event]]:
    job = RunJob(library, task, device="cpu")
    events = list(job.events())
    assert job.result is not None
    return job.result, events


@pytest.mark.parametrize("name", TASK_RECIPES)
def test_from_data_to_score(home: Library, results: Results, name: str) -> None:
    recipe, (result, events) = small(name), results(name)
    assert len([event for event in events if isinstance(event, TrainMetrics)]) == 4
    assert {"Preparing the text", "Predicting", "Scoring simple rules on the same rows"} <= {
        event.name for event in events if isinstance(event, Phase)
    }
    run = RunFolder.open(result.run)
    rows = open_corpus(home, run.made_from("corpus")).read_examples("test")
    groups = {group: [row for row in rows if group in (ALL, row["group"])] for group in (ALL, *recipe_groups(rows))}
    assert list(result.groups) == list(groups)
    titles = [make().title for make in recipe.baselines]
    for group, scores in result.groups.items():
        assert scores.report.n == len(groups[group])
        assert list(scores.baselines) == titles
        assert all(report.n == scores.report.n for report in scores.baselines.values()), "on the same rows"
    assert result.metric == recipe.headline.metric
    assert result.group == recipe.headline.group
    assert result.bars == recipe.bars
    assert not result.are_bars_met, "nothing is learned in four steps"
    assert [path.suffix for path in sorted((result.run / "scores").iterdir())] == [".json", ".jsonl"]


def recipe_groups(rows: list[dict[str, object]]) -> list[str]:
    return list(dict.fromkeys(str(row["group"]) for row in rows))


@pytest.mark.parametrize("name", TASK_RECIPES)
def test_plain_data_of_a_result(results: Results, name: str) -> None:
    result, _ = results(name)
    plain = json.loads(json.dumps(result.to_dict()))
    assert list(plain) == ["task", "metric", "score", "interval", "baseline", "n", "seconds", "run", "groups"]
    assert list(plain["baseline"]) == ["name", "score"]
    assert plain["task"] == name
    low, high = plain["interval"]
    assert low <= plain["score"] <= high
    headline = plain["groups"][result.group or "all"]
    assert headline["scores"][plain["metric"]] == {"score": plain["score"], "interval": plain["interval"]}
    assert headline["baseline"] == plain["baseline"]
    bars = TASK_RECIPES[name].bars
    assert all(bar.metric in plain["groups"][bar.group or "all"]["scores"] for bar in bars)
    if name == "code":
        assert set(headline["outcomes"]) == OUTCOMES
        assert sum(headline["outcomes"].values()) == headline["n"]


@pytest.mark.parametrize("name", TASK_RECIPES)
def test_scores_are_kept_in_the_run(results: Results, name: str) -> None:
    result, _ = results(name)
    (path,) = (result.run / "scores").glob("*.json")
    kept = json.loads(path.read_text())
    report = report_from_dict(kept)
    assert report.value == result.groups[ALL].report.value
    groups = kept["details"]["groups"]
    assert report_from_dict(groups[next(iter(groups))]).n
    assert list(kept["details"]["baselines"]) == [make().title for make in TASK_RECIPES[name].baselines]
    lines = [json.loads(line) for line in path.with_suffix(".jsonl").read_text().splitlines()]
    assert len(lines) == report.n
    if name == "code":
        assert {line["outcome"] for line in lines} <= OUTCOMES


@pytest.mark.parametrize("name", TASK_RECIPES)
def test_the_result_is_kept_in_the_run(results: Results, name: str) -> None:
    result, _ = results(name)
    kept = read_result(result.run)
    assert kept is not None
    assert kept.to_dict() == result.to_dict()
    assert kept.bars == result.bars


def test_several_seeds_are_averaged(results: Results) -> None:
    one, other = results("mood")[0].to_dict(), results("names")[0].to_dict()
    found = summary_of([results("mood")[0], results("names")[0]])
    assert found["score"] == pytest.approx((one["score"] + other["score"]) / 2)
    assert found["n"] == one["n"] + other["n"]
    assert found["interval"] == (
        min(one["interval"][0], other["interval"][0]),
        max(one["interval"][1], other["interval"][1]),
    )
    assert found["seeds"] == [one, other]


def test_a_seed_is_a_world_of_its_own(library: Library, results: Results) -> None:
    result, _ = run_recipe(library, TaskRun(small("mood"), seed=1))
    spec = RunFolder.open(result.run).spec
    assert (spec.train.seed, spec.data.dataset) == (1, "Tiny World 1, mood")
    assert RunFolder.open(results("mood")[0].run).spec.data.dataset == "Tiny World 0, mood"


def test_from_a_parent(library: Library, results: Results) -> None:
    parent = results("mood")[0].run
    result, events = run_recipe(library, TaskRun(small("mood"), parent=str(parent), minutes=0.001))
    run = RunFolder.open(result.run)
    assert run.spec.tune is not None
    assert run.lineage["parent"]["name"] == RunFolder.open(parent).name
    assert len([event for event in events if isinstance(event, TrainMetrics)]) == 20, "the least that is trained"


def test_ones_own_rows(library: Library, tmp_path: Path) -> None:
    file = tmp_path / "colours.jsonl"
    rows = [{"text": f"the {colour} thing {i}", "label": colour} for i in range(50) for colour in ("red", "blue")]
    file.write_text("".join(json.dumps(row) + "\n" for row in (*rows, rows[0])))
    result, _ = run_recipe(library, TaskRun(small("mood"), data=str(file)))
    assert list(result.groups) == [ALL]
    assert result.bars == (), "they are for Tiny World"
    assert result.metric == "accuracy"
    run = RunFolder.open(result.run)
    assert run.spec.data.labels == ("blue", "red")
    corpus = open_corpus(library, run.made_from("corpus"))
    texts = {split: {row["text"] for row in corpus.read_examples(split)} for split in corpus.splits}
    assert sum(map(len, texts.values())) == len(rows) == len(set().union(*texts.values()))
    again, _ = run_recipe(library, TaskRun(small("mood"), data=corpus.label))
    assert RunFolder.open(again.run).made_from("corpus") == run.made_from("corpus")


def test_rows_of_another_form_are_one_sentence(library: Library, tmp_path: Path) -> None:
    file = tmp_path / "few.jsonl"
    file.write_text('{"text": "a", "label": "b"}\n')
    with pytest.raises(ValueError, match="too few different rows"):
        list(RunJob(library, TaskRun(small("mood"), data=str(file))).events())
    with pytest.raises(ValueError, match="nothing says which of its columns are words and tags"):
        list(RunJob(library, TaskRun(small("names"), data=str(file))).events())
    with pytest.raises(ValueError, match="cannot be learned in 0 minutes"):
        TaskRun(small("mood"), minutes=0)


@pytest.mark.parametrize("moment", [Phase, TrainMetrics])
def test_stopped(library: Library, moment: type[Event], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "ALL_RECIPES", {"mood": small("mood")})
    task = RunJob(library, TaskRun(small("mood")), device="cpu")
    for event in task.events():
        if isinstance(event, moment):
            task.request_stop()
    assert task.result is None
    if moment is TrainMetrics:
        assert task.run is not None
        assert RunFolder.open(task.run.folder).status == "stopped"
        assert read_result(task.run.folder) is None
        rest = resume(library, RunFolder.open(task.run.folder), device="cpu")
        assert [*rest.events()]
        assert (rest.result.run, rest.result.bars) == (task.run.folder, small("mood").bars)


def test_a_bar_is_reached_from_below_or_above() -> None:
    least, most = Bar(metric="accuracy", value=0.9), Bar(metric="case_errors", value=0.02)
    assert [least.is_met(score) for score in (0.9, 0.89, None)] == [True, False, False]
    assert [most.is_met(score) for score in (0.02, 0.03, None)] == [True, False, False]


def test_the_table_is_complete() -> None:
    for recipe in TASK_RECIPES.values():
        assert recipe.minutes <= (20 if recipe.name == "summary" else 5)  # it follows whole stories
        assert all(bar.metric in METRICS for bar in recipe.bars)
        assert with_steps(recipe.train, 3).warmup_steps <= 1
