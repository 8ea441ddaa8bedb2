"""The doctor on real runs, trained here or recorded: no diagnosis for healthy ones at any time, and for faulty ones the
right one."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from terrarium.models.diagnosis import RunLog, examine, kinds_of
from terrarium.models.diagnosis.breakdown import format_figure
from terrarium.models.library.library import Library
from terrarium.models.runs.fork import fork_run
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.spec_changes import changed_spec
from terrarium.models.settings.tune_spec import TuneSpec
from tests.models.diagnosis.doctor_suite import (
    Recipe,
    faulty,
    healthy,
    recorded_log,
    spec_of,
    train_recipe,
    train_spec,
)
from tests.models.training.support import make_run, train

HEALTHY, FAULTY = healthy(), faulty()


@pytest.fixture(scope="module")
def shared_library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """One library for all of them, so that a text and its tokenizer are prepared once."""
    return Library(tmp_path_factory.mktemp("doctor"))


@pytest.fixture(scope="module")
def trained(shared_library: Library) -> Callable[[Recipe], RunFolder]:
    """The run of a recipe, which is trained once for all that only read it."""
    runs: dict[str, RunFolder] = {}

    def run_of(recipe: Recipe) -> RunFolder:
        if recipe.name not in runs:
            runs[recipe.name] = train_recipe(recipe, shared_library)
        return runs[recipe.name]

    return run_of


def log_of(recipe: Recipe, trained: Callable[[Recipe], RunFolder]) -> RunLog:
    return RunLog.read(trained(recipe)) if recipe.is_trained else recorded_log(recipe)


def kinds(log: RunLog) -> set[str]:
    return {diagnosis.kind for diagnosis in examine(log).diagnoses}


def test_the_suite_is_large_enough() -> None:
    assert len(HEALTHY) >= 10
    assert len({recipe.family for recipe in HEALTHY}) == 8
    for kind in kinds_of():
        of_kind = [recipe for recipe in FAULTY if recipe.found == kind]
        assert len(of_kind) >= 2, kind
        assert sum(recipe.is_trained for recipe in of_kind) == 1, kind
    assert len({spec_of(recipe, Path()).model.topology for recipe in HEALTHY if recipe.is_trained}) == 3


@pytest.mark.slow
@pytest.mark.parametrize("recipe", HEALTHY, ids=lambda recipe: recipe.name)
def test_a_healthy_run_is_left_alone_at_any_time(recipe: Recipe, trained: Callable[[Recipe], RunFolder]) -> None:
    log = log_of(recipe, trained)
    steps = log.last_step
    for step in (*range(3, 20), *range(20, steps, max(1, steps // 25)), steps):
        assert kinds(log.until(step)) == set(), f"at step {step}"
    examination = examine(log)
    assert {check.kind for check in examination.checks if check.possible} == set(kinds_of())
    assert log.loss[-1] < 0.8 * log.loss[0], "or it would not be healthy"


@pytest.mark.slow
@pytest.mark.parametrize("recipe", FAULTY, ids=lambda recipe: recipe.name)
def test_a_fault_is_found_with_its_evidence_and_remedy(recipe: Recipe, trained: Callable[[Recipe], RunFolder]) -> None:
    log = log_of(recipe, trained)
    found = {diagnosis.kind: diagnosis for diagnosis in examine(log).diagnoses}
    assert recipe.found in found
    assert set(found) <= {recipe.found} | recipe.also
    for diagnosis in found.values():
        assert 0 <= diagnosis.step <= log.last_step
        assert diagnosis.sentence.endswith(".")
        assert any(character.isdigit() for character in diagnosis.sentence)
        if diagnosis.remedy is not None:
            assert changed_spec(log.spec, diagnosis.remedy.changes) != log.spec
            assert diagnosis.remedy.fork_step is None or diagnosis.remedy.fork_step in log.checkpoints


@pytest.mark.parametrize("name", ["weight decay that turns weights over", "gpt2 of zeros", "gpt2, rate 0.00001"])
def test_the_remedy_works(name: str, shared_library: Library, trained: Callable[[Recipe], RunFolder]) -> None:
    recipe = next(recipe for recipe in FAULTY if recipe.name == name)
    log = RunLog.read(trained(recipe))
    (diagnosis,) = examine(log).diagnoses
    assert diagnosis.remedy is not None
    healed = RunLog.read(train_spec(changed_spec(log.spec, diagnosis.remedy.changes), shared_library))
    assert kinds(healed) == set()
    assert healed.val_loss[-1] < 0.7 * np.nanmin(log.val_loss)


def test_a_fork_remedy_works(shared_library: Library, trained: Callable[[Recipe], RunFolder]) -> None:
    recipe = next(recipe for recipe in FAULTY if recipe.name == "gpt2, its rate raised to 0.9 by hand")
    run = trained(recipe)
    diagnosis = examine(RunLog.read(run)).diagnoses[0]
    assert diagnosis.kind == "divergence"
    remedy = diagnosis.remedy
    assert remedy is not None
    assert remedy.fork_step == 50
    fork = fork_run(shared_library, run, remedy.fork_step, train=changed_spec(run.spec, remedy.changes).train)
    train(fork, shared_library)
    healed = RunLog.read(RunFolder.open(fork.folder))
    assert kinds(healed) == set()
    assert healed.loss[-1] < healed.loss[0]


def test_an_early_stopped_run_is_not_overfitting(trained: Callable[[Recipe], RunFolder]) -> None:
    recipe = next(recipe for recipe in FAULTY if recipe.name == "llama on few stories")
    log = RunLog.read(trained(recipe))
    lowest = int(np.argmin(log.val_loss))
    step = int(log.val_step[lowest + 2])
    seen = log.until(step)
    assert step < log.last_step
    assert "overfitting" in kinds(seen), "or there would be nothing to stop"
    stopped = dataclasses.replace(seen, status="stopped", events=(*seen.events, (step, "early stop", "")))
    assert "overfitting" not in kinds(stopped)
    (words,) = [check.words for check in examine(stopped).checks if check.kind == "overfitting"]
    assert words.startswith("Stopped early: ")


def test_a_fine_tuning_that_knows_nearly_all_is_on_no_plateau() -> None:
    recipe = next(recipe for recipe in faulty() if recipe.found == "plateau" and not recipe.is_trained)
    log = recorded_log(recipe)
    spec = dataclasses.replace(log.spec, tune=TuneSpec(parent="any"))
    for now, expected in ((1.0, True), (0.1, False)):
        scaled = dataclasses.replace(log, spec=spec, loss=log.loss * now / float(np.median(log.loss[-20:])))
        assert ("plateau" in kinds(scaled)) == expected


def test_logs_of_any_length_are_examined(library: Library, tiny_config: ModelConfig) -> None:
    run = make_run(library, tiny_config, steps=14, eval_interval=1, layer_interval=1)
    queued = examine(RunLog.read(run))
    assert queued.diagnoses == ()
    train(run, library)
    log = RunLog.read(RunFolder.open(run.folder))
    for step in range(15):
        assert kinds(log.until(step)) <= {"small_validation"}  # 64 tokens of it


def test_nonfinite_values_are_examined(library: Library, tiny_config: ModelConfig) -> None:
    run = make_run(library, tiny_config, steps=30, layer_interval=2)
    train(run, library)
    log, rng = RunLog.read(run), np.random.default_rng(0)
    columns = ("loss", "lr", "grad_norm", "val_loss", "val_error", "update_ratio")
    for _ in range(40):
        broken = {name: getattr(log, name).copy() for name in columns}
        for values in broken.values():
            begin = rng.integers(len(values))
            values[[slice(0), slice(None), slice(begin), slice(begin, None)][rng.integers(4)]] = np.nan
        examination = examine(dataclasses.replace(log, **broken))
        said = [one.words for one in examination.checks] + [one.sentence for one in examination.diagnoses]
        assert not any(re.search(r"\bnan\b", words) for words in said)
        for diagnosis in examination.diagnoses:
            assert diagnosis.remedy is None or diagnosis.remedy.fork_step != 30, "nothing is left to train from there"


def test_missing_measurements_are_not_judged(library: Library, tiny_config: ModelConfig) -> None:
    run = make_run(library, tiny_config, steps=16, eval_interval=0, layer_interval=0)
    train(run, library)
    log = dataclasses.replace(RunLog.read(RunFolder.open(run.folder)), measured={})
    impossible = {check.kind: check.words for check in examine(log).checks if not check.possible}
    assert set(impossible) == {"lr_high", "lr_low", "plateau", "overfitting", "little_data", "small_validation"}
    assert all(words.startswith("Needs ") for words in impossible.values())
    assert impossible["lr_high"] == "Needs layer statistics: their interval is 0."


def test_what_was_measured_is_not_said_to_be_missing(library: Library, tiny_config: ModelConfig) -> None:
    run = make_run(library, tiny_config, steps=60, layer_interval=10, eval_batches=1)
    train(run, library)
    log = RunLog.read(RunFolder.open(run.folder)).until(20)
    found = {each.kind: each for each in examine(log).checks}
    assert found["lr_high"].possible
    assert found["lr_low"].words == "Needs layer statistics of 3 steps: measured at 2 so far, every 10 steps."
    assert re.fullmatch(
        r"The smoothed loss is \d\.\d{3}(, its lowest so far|; its lowest was \d\.\d{3})\.", found["divergence"].words
    )
    measured = log.measured | {"val_batches_used": 2, "val_batches": 3, "val_targets": 253}
    few = dataclasses.replace(log, val_error=np.full_like(log.val_error, 0.3), measured=measured)
    (small,) = [each for each in examine(few).diagnoses if each.kind == "small_validation"]
    assert "a mean over 253 predicted tokens in 2 of 3 validation batches, is" in small.sentence
    assert small.remedy is not None
    assert "train.eval_batches" in small.remedy.changes


def test_a_fork_is_judged_by_its_own_steps(library: Library, tiny_config: ModelConfig) -> None:
    run = make_run(library, tiny_config, steps=12, checkpoint_interval=6, layer_interval=2)
    train(run, library)
    source = RunFolder.open(run.folder)
    changed = dataclasses.replace(source.spec.train, lr=1e-3, steps=16)
    fork = fork_run(library, source, 12, train=changed)
    train(fork, library)
    log = RunLog.read(RunFolder.open(fork.folder))
    assert log.is_fork
    assert (log.begin, log.last_step, log.planned_steps) == (12, 16, 4)
    assert log.step.tolist() == [13, 14, 15, 16]
    assert log.layer_step.tolist() == [14, 16]
    assert log.val_step.min() == 12


def test_the_standard_error_of_a_validation(library: Library, tiny_config: ModelConfig) -> None:
    """It is that of a mean over tokens: nothing is certain of an untrained model but ln(vocabulary)."""
    run = make_run(library, tiny_config, steps=12, eval_batches=1)
    train(run, library)
    run = RunFolder.open(run.folder)
    log = RunLog.read(run)
    n = run.measured["val_targets"]
    assert run.measured["val_batches_used"] == 1
    assert run.measured["train_batches"] > 1
    assert n == 3 * 32
    assert log.val_error[0] < 0.05
    assert 0.3 / math.sqrt(n) < log.val_error[-1] < 4 / math.sqrt(n)


@pytest.mark.parametrize(("n", "is_small"), [(24, True), (600, False)])
def test_a_loss_of_nearly_0_is_no_proof_of_a_large_validation(
    library: Library, tiny_config: ModelConfig, n: int, *, is_small: bool
) -> None:
    run = make_run(library, tiny_config, steps=12, eval_interval=4)
    train(run, library)
    log = RunLog.read(RunFolder.open(run.folder))
    loss = np.full_like(log.val_loss, 2e-6)
    perfect = dataclasses.replace(log, val_loss=loss, val_error=loss / 10, measured=log.measured | {"val_targets": n})
    assert ("small_validation" in kinds(perfect)) == is_small
    examination = examine(perfect)
    words = [each.words for each in examination.checks if each.kind == "small_validation"]
    words += [each.sentence for each in examination.diagnoses if each.kind == "small_validation"]
    assert len(words) == 1
    assert words[0].startswith(f"All {n} validation targets are right")
    assert ("12.5\N{NO-BREAK SPACE}%" if is_small else "0.5\N{NO-BREAK SPACE}%") in words[0]


def test_little_data_begins_when_the_text_has_been_read_often(library: Library, tiny_config: ModelConfig) -> None:
    run = make_run(library, tiny_config, steps=60, eval_interval=5, layer_interval=5)
    train(run, library)
    log = RunLog.read(RunFolder.open(run.folder))
    apart = dataclasses.replace(
        log,
        loss=np.full_like(log.loss, 1.5),
        val_loss=np.full_like(log.val_loss, 3.0),
        val_error=np.full_like(log.val_error, 0.01),
        measured=log.measured | {"train_batches": 10.0},
    )
    (found,) = [each for each in examine(apart).diagnoses if each.kind == "little_data"]
    assert found.step == 41, "at step 40 the text had been read four times, and was enough"
    (early,) = [check.words for check in examine(apart.until(found.step - 1)).checks if check.kind == "little_data"]
    assert early == "The text was read 4.0 times. Up to 4 times, that is about as good as new text."


def test_a_run_that_has_learned_all_is_told_that_longer_cannot_help(library: Library, tiny_config: ModelConfig) -> None:
    run = make_run(library, tiny_config, steps=40)
    train(run, library)
    log = RunLog.read(RunFolder.open(run.folder))
    flat = dataclasses.replace(log, loss=np.where(log.step <= 10, 3.0, 1e-6))
    (words,) = [check.words for check in examine(flat).checks if check.kind == "plateau"]
    assert words == "The loss has been nearly 0 since step 10: training longer cannot help."
    (words,) = [check.words for check in examine(log).checks if check.kind == "plateau"]
    assert "nearly 0" not in words


def test_a_damaged_log_is_named(library: Library, tiny_config: ModelConfig, tmp_path: Path) -> None:
    run = make_run(library, tiny_config, steps=4)
    train(run, library)
    (run.folder / "layers.jsonl").write_text('{"step": 1}\nno json\n{}\n', encoding="utf-8")
    with pytest.raises(ValueError, match=r"layers\.jsonl"):
        RunLog.read(RunFolder.open(run.folder))


def test_large_figures_are_formatted_in_full() -> None:
    assert [
        format_figure(26031.4),
        format_figure(1.4142),
        format_figure(140.2, 2),
        format_figure(9.24, 2),
        format_figure(0.00012),
        format_figure(-0.25),
    ] == [
        "26,031",
        "1.41",
        "140",
        "9.2",
        "0.00012",
        "−0.25",
    ]
