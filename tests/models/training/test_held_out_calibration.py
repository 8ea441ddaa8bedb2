"""Calibration on held-out texts: equal to a naive computation, right by construction, and for every kind of model."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from torch.nn import functional as F

from terrarium.models.architecture.transformer import Decoder, build_model
from terrarium.models.data.batch import Batch
from terrarium.models.events import Progress, result_of
from terrarium.models.library.library import Library
from terrarium.models.metrics.calibration import Calibration
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS
from terrarium.models.tasks.calibration import measure_calibration
from terrarium.models.tokenizers import read_tokenizer
from terrarium.models.training.held_out_calibration import calibrate
from tests.models.tasks.small_tasks import make_dataset, make_task_run
from tests.models.training.support import make_run

SMALL = {"context_length": 16, "d_model": 32, "n_head": 4, "n_layer": 1, "d_ff": 32, "n_kv_head": 0, "dropout": 0.0}
K, ROWS, LENGTH = 40, 4, 15


@dataclass
class OwnDraws:
    """Batches whose targets were drawn from the probabilities of `model`: it is calibrated by construction."""

    model: Decoder
    n_batches: int
    bytes_per_token: float | None = None

    def batch(self, step: int, micro_step: int = 0) -> Batch:
        generator = torch.Generator().manual_seed(step)
        inputs = torch.randint(0, K, (ROWS, LENGTH), generator=generator)
        with torch.no_grad():
            shares = self.model.eval()(inputs).softmax(dim=2)
        targets = torch.multinomial(shares.flatten(0, 1), 1, generator=generator).view_as(inputs)
        weights = torch.ones(ROWS, LENGTH)
        weights[0, :3] = 0.0  # of a prompt, which is not predicted
        return Batch(inputs, targets, weights)


def decoder(scale: float = 1.0) -> Decoder:
    """A small decoder with random weights, whose logits are multiplied by `scale`."""
    torch.manual_seed(3)
    config = ModelConfig(vocab_size=K, init_std=0.6, tied_embeddings=False, **SMALL)  # type: ignore[arg-type]
    model = build_model(config)
    assert isinstance(model, Decoder)
    assert model.head is not None
    with torch.no_grad():
        for parameter in model.head.parameters():
            parameter.mul_(scale)
    return model


def run_of(library: Library, design: str) -> RunFolder:
    return make_run(library, dataclasses.replace(PRESETS[design], **SMALL))  # type: ignore[arg-type]


def task_run(library: Library, task: str, topology: str) -> RunFolder:
    make_dataset(library, task)
    return make_task_run(library, task, topology)


def calibrated(library: Library, run: RunFolder, file: Path | None = None, **limits: float) -> Calibration:
    torch.manual_seed(0)
    model = build_model(RunFolder.open(run.folder).spec.model)
    work = calibrate(library, run, model, read_tokenizer(run.tokenizer_file), file, **limits)  # type: ignore[arg-type]
    return result_of(work)


def test_it_equals_a_naive_computation() -> None:
    model = decoder(1.6)
    batches = OwnDraws(decoder(), 12)
    found = result_of(measure_calibration(model, batches, data="draws", seed=5))
    order = np.random.default_rng(5).permutation(12)

    def read(numbers: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        logits, targets = [], []
        for batch in (batches.batch(number) for number in numbers):
            kept = batch.weights > 0
            with torch.no_grad():
                logits.append(model.eval()(batch.inputs)[kept].double())
            targets.append(batch.targets[kept])
        return torch.cat(logits), torch.cat(targets)

    fit_logits, fit_targets = read(order[::2].tolist())
    best = minimize_scalar(
        lambda t: float(F.cross_entropy(fit_logits / t, fit_targets)), bounds=(0.3, 3.9), method="bounded"
    )
    assert found.temperature.value == pytest.approx(best.x, rel=2e-3)
    logits, targets = read(order[1::2].tolist())
    assert (found.n_fitted, found.n_judged) == (len(fit_targets), len(targets))
    assert (found.n_fitted_texts, found.n_judged_texts, found.what) == (6 * ROWS, 6 * ROWS, "token")
    assert found.accuracy.value == pytest.approx(float((logits.argmax(1) == targets).double().mean()))
    for at in (found.before, found.after):
        scaled = logits / at.temperature
        assert at.nll.value == pytest.approx(float(F.cross_entropy(scaled, targets)), abs=1e-5)
        confidence = scaled.softmax(1).amax(1)
        right, error = scaled.argmax(1) == targets, 0.0
        for i in range(15):
            member = (confidence >= i / 15) & (confidence < (i + 1) / 15)
            if member.any():
                gap = float(right[member].double().mean() - confidence[member].mean())
                error += float(member.double().mean()) * abs(gap)
        assert at.best.ece.value == pytest.approx(error, abs=2e-3)  # a confidence may lie on the limit of a bin
        top = scaled.softmax(1).topk(10).values
        assert at.top.excess.value == pytest.approx(
            float(top.mean() - (scaled.topk(10).indices == targets[:, None]).double().mean()), abs=1e-5
        )
    assert found.nll_change.value == pytest.approx(found.after.nll.value - found.before.nll.value, abs=1e-6)
    assert found.nll_change.value < 0


def test_a_model_is_calibrated_on_its_own_draws_and_doubled_logits_need_a_temperature_of_two() -> None:
    fair = result_of(measure_calibration(decoder(), OwnDraws(decoder(), 60), data="draws"))
    assert not fair.temperature.excludes(1)
    assert fair.temperature.value == pytest.approx(1, abs=0.08)
    assert fair.before.best.ece.interval is not None
    assert fair.before.best.ece.interval[0] == 0
    assert not fair.before.best.excess.excludes(0)
    sure = result_of(measure_calibration(decoder(2.0), OwnDraws(decoder(), 60), data="draws"))
    assert sure.temperature.value == pytest.approx(2, abs=0.15)
    assert not sure.temperature.excludes(2)
    assert sure.before.best.ece.excludes(0)
    assert sure.before.best.excess.value > 0.05
    assert sure.after.best.ece.value < sure.before.best.ece.value / 3
    assert sure.after.best.ece.interval is not None
    assert sure.after.best.ece.interval[0] == 0
    assert sure.nll_change.interval is not None
    assert sure.nll_change.interval[1] < 0
    assert sure.before.top.ece.value > sure.after.top.ece.value


def test_it_is_the_same_again_bounded_and_leaves_the_model_alone() -> None:
    model, batches = decoder(), OwnDraws(decoder(), 40)
    model.train()
    before = torch.get_rng_state()

    def measure(**limits: float) -> Calibration:
        found = result_of(measure_calibration(model, batches, data="draws", **limits))  # type: ignore[arg-type]
        return dataclasses.replace(found, seconds=0.0)

    whole = measure()
    assert whole == measure()
    assert model.training
    assert torch.equal(torch.get_rng_state(), before)
    per_batch = ROWS * LENGTH - 3
    assert (whole.n_fitted, whole.n_judged) == (20 * per_batch, 20 * per_batch)
    few = measure(max_predictions=200)
    assert (few.n_fitted, few.n_judged) == (2 * per_batch, 2 * per_batch)
    late = measure(seconds=0.0)
    assert (late.n_fitted, late.n_judged) == (per_batch, per_batch)
    done = [
        event.done / event.total for event in measure_calibration(model, batches, data="draws", max_predictions=200)
    ]
    assert done == sorted(done)
    assert done[-1] == 1


@pytest.mark.parametrize("design", ["gpt2-tiny", "bert-tiny", "t5-tiny", "bart-tiny"])
def test_each_topology_is_measured_on_the_validation_split_of_its_run(design: str, library: Library) -> None:
    found = calibrated(library, run_of(library, design))
    assert found.what == "token"
    assert "validation texts" in found.data
    assert found.n_judged > 20
    assert found.before.temperature == 1
    assert 0 <= found.before.best.ece.value <= 1


@pytest.mark.parametrize("task", ["classification", "multi-label", "tagging", "span"])
def test_labels_are_measured_too(task: str, library: Library) -> None:
    topology = "encoder-decoder" if task == "span" else "encoder-only"
    found = calibrated(library, task_run(library, task, topology))
    assert found.what == "label"
    assert found.n_judged_texts > 5
    assert found.n_judged == found.n_judged_texts or task != "classification"
    assert np.isfinite(found.temperature.value)
    assert np.isfinite(found.before.nll.value)


def test_a_text_file_serves_a_model_whose_data_is_not_known(library: Library, tmp_path: Path) -> None:
    run = run_of(library, "gpt2-tiny")
    text = tmp_path / "story.txt"
    text.write_text("The cat sat on the mat. " * 90, encoding="utf-8")
    found = calibrated(library, run, text)
    assert found.data == "story.txt"
    assert found.n_judged > 500
    text.write_text("Too short.", encoding="utf-8")
    with pytest.raises(ValueError, match="has only 10 tokens: use a text of 160"):
        calibrated(library, run, text)
    text.write_bytes(b"caf\xe9 " * 300)
    with pytest.raises(ValueError, match="not UTF-8"):
        calibrated(library, run, text)
    run.update(lineage={})
    with pytest.raises(ValueError, match=r"not known what this model was trained on.*choose a text file"):
        calibrated(library, RunFolder.open(run.folder))


def test_what_has_no_probabilities_is_said(library: Library) -> None:
    scores = task_run(library, "regression", "encoder-only")
    with pytest.raises(ValueError, match="answers with a number"):
        calibrated(library, scores)
    run = run_of(library, "bert-tiny")
    headless = build_model(dataclasses.replace(run.spec.model, head="none"))
    with pytest.raises(ValueError, match="has no head"):
        result_of(calibrate(library, run, headless, read_tokenizer(run.tokenizer_file)))


def test_labels_cannot_be_compared_with_a_text_file(library: Library, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a " * 999, encoding="utf-8")
    with pytest.raises(ValueError, match="no labels to compare with"):
        calibrated(library, task_run(library, "classification", "encoder-only"), tmp_path / "a.txt")


def test_one_batch_cannot_be_halved() -> None:
    with pytest.raises(ValueError, match="too little text in draws"):
        next(measure_calibration(decoder(), OwnDraws(decoder(), 1), data="draws"))


def test_closing_it_cancels() -> None:
    work = measure_calibration(decoder(), OwnDraws(decoder(), 10), data="draws")
    assert isinstance(next(work), Progress)
    work.close()
    assert next(work, None) is None
