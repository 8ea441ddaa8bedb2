"""Which recipe a run belongs to, as its mark says, and what goes on with it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from terrarium.models.library.library import Library
from terrarium.models.recipes.demonstrations.demonstrated import DemonstrationMark
from terrarium.models.recipes.demonstrations.running import DemonstrationRun
from terrarium.models.recipes.job import SingleRun
from terrarium.models.recipes.mark import MARK_FILE, RunMark, find_run_mark, read_run_mark, write_run_mark
from terrarium.models.recipes.pronouns import PronounRecipe
from terrarium.models.recipes.quickstart import QuickStart
from terrarium.models.recipes.recipes import RECIPES, resume
from terrarium.models.recipes.tasks.running import TaskRun
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.model_config import ModelConfig
from tests.models.training.support import make_run


@pytest.fixture
def run(library: Library, tiny_config: ModelConfig) -> RunFolder:
    return make_run(library, tiny_config)


def test_a_mark_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert read_run_mark(tmp_path) is None
    mark = RunMark(kind="quick-start", arguments={"seed": 3, "minutes": None}, result={"accuracy": 0.5})
    write_run_mark(tmp_path, mark)
    assert read_run_mark(tmp_path) == mark
    assert json.loads((tmp_path / MARK_FILE).read_text()) == dataclasses.asdict(mark)


def test_the_marks_of_earlier_versions_are_read(tmp_path: Path) -> None:
    (tmp_path / MARK_FILE).write_text('{"name": "mood", "seed": 2, "own_rows": true, "result": {"seconds": 3}}')
    arguments = {"name": "mood", "seed": 2, "own_rows": True}
    assert read_run_mark(tmp_path) == RunMark(kind="task", arguments=arguments, result={"seconds": 3})
    made = RECIPES["task"](arguments)
    assert {**arguments, "data": "", "parent": "", "minutes": None} == made.arguments()


@pytest.mark.parametrize("damaged", ["{", "[]", '{"kind": "task"}', '{"kind": "task", "arguments": {}, "result": 3}'])
def test_a_damaged_mark_is_named_and_does_not_keep_the_run_from_training(
    library: Library, run: RunFolder, damaged: str
) -> None:
    (run.folder / MARK_FILE).write_text(damaged)
    with pytest.raises(ValueError, match=r"recipe\.json is damaged"):
        read_run_mark(run.folder)
    assert find_run_mark(run.folder) is None
    assert isinstance(resume(library, run).recipe, SingleRun)


def test_each_run_is_resumed_as_what_it_is(library: Library, run: RunFolder) -> None:
    assert isinstance(resume(library, run).recipe, SingleRun)
    mark = DemonstrationMark(name="taught", base="a", seed=0, n_each=3)
    (run.folder / "demonstration.json").write_text(json.dumps(dataclasses.asdict(mark)))  # as before version 0.3
    assert isinstance(resume(library, run).recipe, DemonstrationRun)
    write_run_mark(run.folder, RunMark(kind="task", arguments={"name": "mood", "seed": 0, "own_rows": False}))
    assert isinstance(resume(library, run).recipe, TaskRun)
    write_run_mark(run.folder, RunMark(kind="task", arguments={"name": "of a newer version", "seed": 0}))
    assert isinstance(resume(library, run).recipe, SingleRun)
    write_run_mark(run.folder, RunMark(kind="quick-start"))
    assert isinstance(resume(library, run).recipe, QuickStart)
    write_run_mark(run.folder, RunMark(kind="of a newer version"))
    assert isinstance(resume(library, run).recipe, SingleRun)
    write_run_mark(run.folder, RunMark(kind="pronouns", arguments={"seed": 1}))
    assert isinstance(resume(library, run).recipe, PronounRecipe)
    assert set(RECIPES) == {"quick-start", "task", "demonstration", "pronouns"}
