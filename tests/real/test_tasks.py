"""The recipes of Tiny World's tasks at full length: each reaches its bars on a world that nothing was tuned on."""

from __future__ import annotations

import pytest

from terrarium.models.library.library import Library
from terrarium.models.recipes.job import RunJob
from terrarium.models.recipes.tasks.running import TaskRun
from terrarium.models.recipes.tasks.tasks_table import TASK_RECIPES

SEED = 7
"""The designs and steps were found on worlds 0 and 2."""


@pytest.mark.parametrize("name", TASK_RECIPES)
def test_reaches_its_bars(library: Library, name: str) -> None:
    task = RunJob(library, TaskRun(TASK_RECIPES[name], seed=SEED))
    for _ in task.events():
        pass
    assert task.result is not None
    report = task.result.report
    assert report.n >= 500
    assert report.value is not None
    _, baseline = task.result.groups[task.result.group].best_baseline(task.result.metric)
    assert baseline is not None
    assert report.value >= baseline, "a word list, too, knows every mood by sentences that it has seen"
    for bar in task.result.bars:
        assert bar.is_met(task.result.score_of(bar)), f"{bar}: {task.result.score_of(bar)}"
