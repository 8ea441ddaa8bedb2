"""The marks of runs: what is written when, and what a copy, a full disk or a deletion does to them."""

from __future__ import annotations

import dataclasses
import errno
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest

from terrarium.models.events import Blocked, RunStarted, TrainMetrics, result_of
from terrarium.models.library.library import Library
from terrarium.models.library.run_record import EVALUATION_FILE, inspect_run
from terrarium.models.recipes import mark as mark_module
from terrarium.models.recipes import pronoun_specs
from terrarium.models.recipes.demonstrations.demonstrated import read_demonstrated
from terrarium.models.recipes.demonstrations.running import DemonstrationRun
from terrarium.models.recipes.demonstrations.stages import Stages
from terrarium.models.recipes.job import RunJob, SingleRun
from terrarium.models.recipes.mark import QUICK_START, TASK, RunMark, absolute_path, read_run_mark, write_run_mark
from terrarium.models.recipes.pronouns import PronounRecipe
from terrarium.models.recipes.recipes import resume
from terrarium.models.recipes.tasks.tasks_table import with_steps
from terrarium.models.runs import run_folder
from terrarium.models.runs.run_file.packing import pack_run
from terrarium.models.runs.run_file.unpacking import unpack_run
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.tasks.pronouns.evaluation import PronounEvaluation, read_pronouns, write_pronouns
from terrarium.models.tokenizers import train_tokenizer
from tests.app.small_models import put_model
from tests.models.recipes.demonstrations.support import job_of, make_little_refusals
from tests.models.training.support import make_run


@pytest.fixture
def pronouns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pronoun models train for four steps."""
    short = with_steps(pronoun_specs.TRAINING, 4)
    short = dataclasses.replace(short, batch_size=8, eval_batches=1, eval_interval=2, sample_interval=0)
    monkeypatch.setattr(pronoun_specs, "TRAINING", short)


def trained(library: Library, config: ModelConfig) -> RunFolder:
    run = make_run(library, config, steps=2, eval_interval=0)
    assert list(RunJob(library, SingleRun(), device="cpu", resumed=run).events())
    return RunFolder.open(run.folder)


def test_a_resumed_run_waits_while_the_disk_is_full(
    library: Library, tiny_config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(library, tiny_config)
    write_run_mark(run.folder, RunMark(kind=QUICK_START, arguments={"seed": 0}))

    def full(path: Path, value: object, **others: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    for module in (mark_module, run_folder):
        monkeypatch.setattr(module, "atomic_write_json", full)
    events = resume(library, run, device="cpu").events()
    assert isinstance(next(event for event in events if isinstance(event, Blocked | TrainMetrics)), Blocked)
    events.close()


def test_a_run_that_was_deleted_meanwhile_does_not_come_back(library: Library, tiny_config: ModelConfig) -> None:
    run = make_run(library, tiny_config)
    write_run_mark(run.folder, RunMark(kind=TASK, arguments={"name": "mood", "seed": 0}))
    job = resume(library, run, device="cpu")
    shutil.rmtree(run.folder)
    with pytest.raises((ValueError, OSError)):
        list(job.events())
    assert not run.folder.exists()


@pytest.mark.usefixtures("pronouns")
def test_a_copy_has_no_folders_and_is_not_taken_for_the_original(library: Library, tmp_path: Path) -> None:
    job, started = RunJob(library, PronounRecipe(), device="cpu"), []
    for event in job.events():
        if isinstance(event, RunStarted):
            started.append(event.run_id)
        if isinstance(event, TrainMetrics) and len(started) == 2:
            job.request_stop()
    first = RunFolder.open(library.runs / started[0])
    known = read_run_mark(first.folder)
    assert known is not None
    write_run_mark(first.folder, dataclasses.replace(known, arguments={"seed": 0, "files": [str(tmp_path / "a.txt")]}))
    packed = result_of(pack_run(first, tmp_path / "copy", library))
    with zipfile.ZipFile(packed) as archive:
        assert not [name for name in archive.namelist() if str(tmp_path).encode() in archive.read(name)]
    copy = result_of(unpack_run(packed, library))
    mark = read_run_mark(copy.folder)
    assert mark is not None
    assert (mark.kind, mark.job, mark.part) == ("pronouns", "", "encoder-only")
    assert job.run is not None
    rest = resume(library, RunFolder.open(job.run.folder), device="cpu")
    assert list(rest.events())
    assert isinstance(rest.recipe, PronounRecipe)
    assert [run.id for run in rest.recipe.runs.values()] == started


@pytest.mark.usefixtures("pronouns")
def test_an_evaluation_halfway_is_not_the_result(library: Library) -> None:
    """The page of the pronoun models evaluates the newest checkpoint."""
    job = RunJob(library, PronounRecipe(), device="cpu")
    for event in job.events():
        if isinstance(event, TrainMetrics):
            job.request_stop(status="paused")
    assert job.run is not None
    halfway = PronounEvaluation(
        step=1, n_pairs=1, accuracy=0.5, both=0.0, without_adjective=0.5, largest_difference=0.0, rules={}
    )
    write_pronouns(job.run.folder, halfway)
    assert list(resume(library, RunFolder.open(job.run.folder), device="cpu").events())
    assert RunFolder.open(job.run.folder).status == "finished"
    found = read_pronouns(job.run.folder)
    assert found is not None
    assert found.step == 4


def test_a_finished_run_stays_what_it_is(library: Library, tiny_config: ModelConfig) -> None:
    """A quick start of an earlier version has no result in its mark; a demonstration may find and use it."""
    run = trained(library, tiny_config)
    write_run_mark(run.folder, RunMark(kind=QUICK_START, arguments={"seed": 0}))
    (run.folder / EVALUATION_FILE).write_text("{}")
    assert not inspect_run(run.folder).is_unmeasured
    stages = Stages(RunJob(library, DemonstrationRun("refuse", "base"), device="cpu"))
    assert result_of(stages.finish(run)) is run
    mark = read_run_mark(run.folder)
    assert mark is not None
    assert mark.kind == QUICK_START


def test_an_evaluation_that_is_stopped_leaves_the_run_finished(library: Library, tiny_config: ModelConfig) -> None:
    run = trained(library, tiny_config)
    write_run_mark(run.folder, RunMark(kind=TASK, arguments={"name": "mood", "seed": 0}))
    assert inspect_run(run.folder).is_unmeasured
    job = resume(library, run, device="cpu")
    for _ in job.events():
        job.request_stop()
    info = inspect_run(run.folder)
    assert (info.status, info.can_resume) == ("finished", True)


def test_a_result_has_the_arguments_that_led_to_it(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    make_little_refusals(monkeypatch)
    base = put_model(library, train_tokenizer([""], "byte", 0), "decoder-only", context_length=400)
    for n_each in (3, 4):
        assert list(job_of(library, "refuse", base, n_each=n_each).events())
        (found,) = filter(None, (read_demonstrated(info.folder) for info in library.list_runs()))
        assert found.mark.n_each == n_each


def test_paths_of_arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mails").mkdir()
    (tmp_path / "3f2a").write_text("x")
    (tmp_path / "model.gguf").symlink_to("3f2a")
    assert absolute_path("mails") == "mails", "of the library"
    assert absolute_path("model.gguf") == str(tmp_path / "model.gguf"), "with the suffix of the link"
    assert absolute_path("./mails") == str(tmp_path / "mails")
    assert absolute_path(str(tmp_path / "mails")) == str(tmp_path / "mails")
    (tmp_path / "mails" / "config.json").write_text("{}")
    assert absolute_path("mails") == str(tmp_path / "mails"), "a model's folder"
