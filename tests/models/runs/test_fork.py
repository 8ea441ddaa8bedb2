"""A fork continues from a checkpoint like its source, or with its own settings."""

import dataclasses
import errno
import json
import re
import shutil

import pytest
import torch

from terrarium.models.events import TrainMetrics
from terrarium.models.library.library import Library
from terrarium.models.library.run_record import checkpoint_step
from terrarium.models.runs.fork import fork_run, spec_like
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.training.prepare import prepare_run
from terrarium.models.training.trainer import Trainer
from tests.models.training.support import final_weights, make_run, numbers, result_of, train


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run of ten steps, with checkpoints of 3, 6, 9 and 10, in a library of its own."""
    library = Library(tmp_path_factory.mktemp("trained"))
    small = ModelConfig(vocab_size=261, context_length=32, n_layer=2, n_head=2, d_model=32, conv_width=4, dropout=0.1)
    run = make_run(library, small, keep_checkpoints=9)
    train(run, library)
    return RunFolder.open(run.folder)


@pytest.fixture
def source(library: Library, trained: RunFolder) -> RunFolder:
    """A copy of it, in this test's library."""
    shutil.copytree(trained.folder.parents[1], library.home, dirs_exist_ok=True)
    return RunFolder.open(library.runs / trained.id)


@pytest.mark.parametrize("step", [3, 6, None])
def test_an_unchanged_fork_draws_the_same_curve(library: Library, source: RunFolder, step: int | None) -> None:
    fork = fork_run(library, source, step) if step else fork_run(library, source, 9)
    assert fork.status == "queued"
    assert fork.lineage["parent"] == {"run": source.id, "name": source.name, "step": step or 9}
    assert [checkpoint_step(path) for path in fork.checkpoints()] == [step or 9]
    train(fork, library)
    assert numbers(fork) == numbers(source)
    assert fork.read_samples() == source.read_samples()
    assert fork.read_layers()[-1]["update_ratio"] == source.read_layers()[-1]["update_ratio"]
    expected = final_weights(source)
    assert all(torch.equal(weight, expected[name]) for name, weight in final_weights(fork).items())


def test_a_fork_keeps_the_curve_of_its_source_and_continues_its_own(library: Library, source: RunFolder) -> None:
    settings = dataclasses.replace(source.spec.train, lr=source.spec.train.lr / 10, steps=14)
    before = numbers(source)
    fork = fork_run(library, source, 6, name="slower", train=settings)
    assert fork.name == "slower"
    assert [row["step"] for row in fork.read_metrics()] == [row["step"] for row in before if row["step"] <= 6]
    assert [row["event"] for row in fork.read_events()] == ["forked"]
    train(fork, library)
    rows = numbers(fork)
    assert [row for row in rows if row["step"] <= 6] == [row for row in before if row["step"] <= 6]
    assert rows[-1]["step"] == 14
    later = {row["step"]: row["lr"] for row in rows if row["kind"] == "train" and row["step"] > 6}
    assert later[7] < {row["step"]: row["lr"] for row in before if row["kind"] == "train"}[7]
    assert numbers(source) == before, "the source is left as it was"


def test_the_best_of_a_fork_is_one_of_its_own(library: Library, source: RunFolder) -> None:
    fork = fork_run(library, source, 3)
    state = json.loads((fork.latest_checkpoint() / "state.json").read_text())  # type: ignore[operator]
    assert (state["best_step"], fork.best_step) == (None, None), "no validation at step 3"
    train(fork, library)
    assert RunFolder.open(fork.folder).best_step in {checkpoint_step(path) for path in fork.checkpoints()}


def test_a_fork_of_a_running_run(library: Library, tiny_config: ModelConfig) -> None:
    run = make_run(library, tiny_config, keep_checkpoints=9)
    trainer = Trainer(run, library, device="cpu")
    for event in trainer.events():
        if isinstance(event, TrainMetrics) and event.step == 5:
            fork = fork_run(library, RunFolder.open(run.folder))
    assert [checkpoint_step(path) for path in fork.checkpoints()] == [3]
    train(fork, library)
    assert numbers(fork) == numbers(run)


def test_impossible_forks_are_refused_with_a_sentence(
    library: Library, source: RunFolder, tiny_config: ModelConfig
) -> None:
    with pytest.raises(ValueError, match="no checkpoint of step 5: it has 3, 6, 9, 10"):
        fork_run(library, source, 5)
    with pytest.raises(ValueError, match="ends at 10: give it more steps"):
        fork_run(library, source)
    other = dataclasses.replace(source.spec.train, optimizer="adamw", steps=20)
    with pytest.raises(ValueError, match="cannot change to 'adamw'"):
        fork_run(library, source, train=other)
    pairs = make_run(library, dataclasses.replace(tiny_config, topology="encoder-decoder"), steps=3)
    train(pairs, library)
    other = dataclasses.replace(pairs.spec.train, objective="denoising", steps=9)
    with pytest.raises(ValueError, match="cannot change to denoising"):
        fork_run(library, pairs, train=other)
    with pytest.raises(ValueError, match="has no checkpoint yet"):
        fork_run(library, make_run(library, tiny_config))
    source.update(status="imported")
    with pytest.raises(ValueError, match="without an optimizer"):
        fork_run(library, source, 3)
    assert len(library.list_runs()) == 3, "nothing half-made is left"
    assert not list(library.runs.glob(".tmp-*"))


@pytest.mark.parametrize("file", ["state.json", "model.safetensors", "optimizer.safetensors", "tokenizer.json"])
def test_a_damaged_source_is_named_and_makes_no_run(library: Library, source: RunFolder, file: str) -> None:
    path = (source.folder if file == "tokenizer.json" else source.checkpoint_path(6)) / file
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match=re.escape(str(path))):
        fork_run(library, source, 6)
    path.unlink()
    with pytest.raises(ValueError, match=re.escape(f"{path} is missing")):
        fork_run(library, source, 6)
    assert [entry.name for entry in library.runs.iterdir()] == [source.id]


def test_a_full_disk_leaves_no_partial_fork(
    library: Library, source: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_full(*paths: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", is_full)
    with pytest.raises(OSError, match="No space left"):
        fork_run(library, source, 6)
    assert [entry.name for entry in library.runs.iterdir()] == [source.id]


def test_a_fork_without_its_checkpoint_does_not_start_from_scratch(library: Library, source: RunFolder) -> None:
    fork = fork_run(library, source, 6)
    (fork.checkpoint_path(6) / "model.safetensors").write_bytes(b"")
    with pytest.raises(ValueError, match="has no intact checkpoint left: fork that run again"):
        train(fork, library)


def test_a_run_like_another_has_its_settings_and_tokenizer(library: Library, source: RunFolder) -> None:
    again = result_of(prepare_run(library, spec_like(library, source)))
    assert again.name != source.name
    assert (again.spec.train, again.spec.model) == (source.spec.train, source.spec.model)
    assert again.made_from("tokenizer") == source.made_from("tokenizer")
    assert again.made_from("corpus") == source.made_from("corpus")
    train(again, library)
    assert numbers(again) == numbers(source)
