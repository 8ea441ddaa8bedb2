"""Learning rate, batch size and cost found by trial: on a real tiny model, with memory that ends where a test says."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from terrarium.models.events import Event, Phase
from terrarium.models.library.library import Library
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import RunSpec, TrainConfig
from terrarium.models.training.estimates import batch_finder, forecast, lr_finder, trial
from terrarium.models.training.estimates.batch_finder import find_batch, remedy_sentence
from terrarium.models.training.estimates.findings import BatchFound, BatchPoint, DataPreview, LrPoint, RunCost
from terrarium.models.training.estimates.lr_finder import find_lr, lr_from_trial, rounded
from terrarium.models.training.estimates.trial import Step, Trial
from terrarium.models.training.schedule import times_due
from tests.models.training.support import make_spec, result_of

MODEL = ModelConfig(context_length=32, n_layer=1, d_model=32, n_head=2)
PAIR = dataclasses.replace(MODEL, topology="encoder-decoder", dropout=0.1)


@pytest.fixture
def spec(library: Library) -> RunSpec:
    return make_spec(library.home, MODEL, batch_size=16)


@pytest.fixture
def little_memory(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Torch runs out of memory where a batch has more tokens than the test says."""

    def limit(n_tokens: int) -> None:
        real = trial.weighted_nll

        def loss(model: Any, batch: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
            if batch.inputs.numel() > n_tokens:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return real(model, batch, *args, **kwargs)

        monkeypatch.setattr(trial, "weighted_nll", loss)

    return limit


def ramp(losses: list[float]) -> list[LrPoint]:
    n = len(losses)
    return [LrPoint(lr=10 ** (-5 + 5 * i / (n - 1)), loss=loss, smoothed=loss) for i, loss in enumerate(losses)]


# -- Learning rate ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [MODEL, PAIR], ids=["decoder", "denoiser"])
def test_rates_are_tried_from_small_to_large_and_one_is_suggested(library: Library, model: ModelConfig) -> None:
    spec = make_spec(library.home, dataclasses.replace(model, context_length=16), batch_size=4)
    events: list[Event] = []
    generator = find_lr(library, spec, "cpu", n_steps=60)
    torch.manual_seed(5)
    states = [torch.get_rng_state()]
    while True:
        try:
            events.append(next(generator))
            states.append(torch.get_rng_state())
        except StopIteration as end:
            found = end.value
            break
    points = [event for event in events if isinstance(event, LrPoint)]
    assert found.points == tuple(points)
    assert points[0].lr == pytest.approx(spec.train.optimizer_info.lr_range[0])
    assert all(b.lr > a.lr for a, b in itertools.pairwise(points))
    assert points[0].loss == pytest.approx(math.log(262), rel=0.2)
    assert found.suggestion is not None
    assert 1e-4 < found.low <= found.suggestion <= found.high < 1
    assert found.ratios == {"muon_lr": pytest.approx(spec.train.muon_lr / spec.train.lr)}
    assert all(torch.equal(state, states[0]) for state in states)
    assert library.list_runs() == []


def test_it_can_be_closed_at_any_point(library: Library, spec: RunSpec) -> None:
    generator = find_lr(library, spec, "cpu")
    for event in generator:
        if isinstance(event, LrPoint):
            break
    generator.close()
    with pytest.raises(StopIteration):
        next(generator)


def test_the_suggestion_is_where_the_loss_falls_most_steeply() -> None:
    losses = [5.0] * 20 + [5.0 - 0.3 * i for i in range(1, 9)] + [2.6] * 12 + [2.7, 3.0]
    found = lr_from_trial(ramp(losses), TrainConfig(optimizer="adamw"), exploded=False)
    rates = [point.lr for point in ramp(losses)]
    assert rates[19] < (found.suggestion or 0) < rates[28]
    assert found.low is not None
    assert found.high is not None
    assert rates[18] <= found.low <= rates[21]
    assert rates[26] <= found.high <= rates[29]
    assert found.ratios == {}


def test_a_loss_that_never_falls_suggests_nothing() -> None:
    flat = lr_from_trial(ramp([5.0, 5.01, 4.99, 5.0, 5.0]), TrainConfig(), exploded=False)
    assert flat.suggestion is None
    assert lr_from_trial(ramp([5.0, 9.0]), TrainConfig(), exploded=True).suggestion is None


def test_an_exploding_loss_ends_the_trial(library: Library, spec: RunSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lr_finder, "EXPLODES", 0.999)
    found = result_of(find_lr(library, spec, "cpu"))
    assert found.exploded
    assert len(found.points) < lr_finder.N_STEPS


def test_rates_are_rounded_to_their_precision() -> None:
    assert [rounded(rate) for rate in (0.00437, 0.00149, 0.0951, 1.0)] == [0.004, 0.0015, 0.1, 1.0]


# -- Batch size -------------------------------------------------------------------------------------------


def search(library: Library, spec: RunSpec, **changes: Any) -> tuple[BatchFound, list[BatchPoint]]:
    points = []
    generator = find_batch(library, spec, "cpu", **changes)
    while True:
        try:
            event = next(generator)
        except StopIteration as end:
            return end.value, points
        if isinstance(event, BatchPoint):
            points.append(event)


def test_the_largest_batch_that_fits_is_found_by_trial(
    library: Library, spec: RunSpec, little_memory: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_finder, "GAIN", 0.0)  # only memory ends it
    little_memory(11 * 32)
    found, points = search(library, spec)
    assert found.largest == 11
    assert [point.batch_size for point in points] == [1, 2, 4, 8, 16, 12, 10, 11]
    assert [point.fits for point in points] == [True, True, True, True, False, False, True, True]
    assert all(point.peak_bytes and point.tokens_per_s for point in points if point.fits)
    assert (found.batch_size, found.grad_accum_steps) == (8, 2)  # as many texts as the 16 that were wanted
    assert remedy_sentence(found, 16) == (
        "The largest batch_size that fits is 11, found by trial: use batch_size 8 with grad_accum_steps 2: it learns "
        "the same."
    )


def test_after_running_out_of_memory_only_smaller_sizes_are_tried(
    library: Library, spec: RunSpec, little_memory: Callable[[int], None]
) -> None:
    little_memory(5 * 32)
    found, points = search(library, spec, below=16)
    assert max(point.batch_size for point in points) < 16
    assert found.largest == 5
    assert (found.batch_size, found.grad_accum_steps) == (4, 4)


def test_if_not_even_one_text_fits_the_sentence_says_so(
    library: Library, spec: RunSpec, little_memory: Callable[[int], None]
) -> None:
    little_memory(31)
    found, _ = search(library, spec)
    assert found.largest is None
    assert found.batch_size is None
    assert "a smaller model" in remedy_sentence(found, 16)


def test_a_batch_that_would_cause_swapping_is_not_tried(
    library: Library, spec: RunSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_finder, "GAIN", 0.0)
    first, _ = search(library, spec, below=2)
    peak = first.points[0].peak_bytes
    assert peak is not None
    monkeypatch.setattr(batch_finder, "free_bytes", lambda choice: 3 * peak)
    found, points = search(library, spec)
    assert [point.batch_size for point in points if not point.is_tried]
    assert all(point.peak_bytes < 3 * peak for point in points if point.peak_bytes)
    assert found.largest is not None


def test_it_ends_when_larger_batches_are_no_faster(
    library: Library, spec: RunSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_finder, "GAIN", 1e9)
    found, points = search(library, spec)
    assert [point.batch_size for point in points] == [1, 2, 4]
    assert found.largest is None  # memory was never the limit
    assert found.batch_size == 16


# -- Cost -------------------------------------------------------------------------------------------------


def test_a_forecast_shows_the_data_and_measures_the_run(library: Library, spec: RunSpec) -> None:
    torch.manual_seed(5)
    state = torch.get_rng_state()
    events = list(forecast.forecast(library, spec, "cpu"))
    (preview,) = (event for event in events if isinstance(event, DataPreview))
    (cost,) = (event for event in events if isinstance(event, RunCost))
    assert preview.objective == "next-token"
    assert cost.fits
    assert cost.spec == spec
    assert cost.ms_per_step is not None
    assert cost.training_s == pytest.approx(cost.ms_per_step / 1000 * spec.train.steps)
    assert cost.validation_s > 0
    assert cost.samples_s > 0
    assert cost.seconds == pytest.approx(cost.training_s + cost.validation_s + cost.samples_s)
    assert cost.peak_bytes is not None
    assert cost.available_bytes is not None
    assert torch.equal(torch.get_rng_state(), state)
    assert library.list_runs() == []


def test_of_a_slow_run_a_single_step_is_timed(library: Library, spec: RunSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[int] = []
    step = Trial.step

    def counted(trial: Trial, number: int, multiple: float = 1.0) -> Step:
        steps.append(number)
        return dataclasses.replace(step(trial, number, multiple), seconds=60.0)

    monkeypatch.setattr(Trial, "step", counted)
    events = list(forecast.forecast(library, spec, "cpu"))
    (cost,) = (event for event in events if isinstance(event, RunCost))
    assert steps == [0]
    assert cost.ms_per_step == 60_000
    assert cost.peak_bytes is not None
    phases = [event.name for event in events if isinstance(event, Phase)]
    assert "Measuring the memory of a step, which takes about 1 min" in phases


@pytest.mark.parametrize(("steps", "intervals"), [(12, (4,)), (13, (4,)), (3, (4,)), (24, (4, 6)), (25, (4, 6))])
def test_how_often_something_is_due(steps: int, intervals: tuple[int, ...]) -> None:
    due = [step for step in range(steps + 1) if step == steps or any(step % interval == 0 for interval in intervals)]
    assert times_due(steps, *intervals) == len(due)


def test_a_forecast_may_only_show_the_data(library: Library, spec: RunSpec) -> None:
    events = list(forecast.forecast(library, spec, "cpu", measured=False))
    assert not any(isinstance(event, RunCost) for event in events)
    assert any(isinstance(event, DataPreview) for event in events)


def test_a_run_that_clearly_does_not_fit_is_reported_and_not_tried(
    library: Library, spec: RunSpec, little_memory: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    little_memory(32)
    cost = next(event for event in forecast.forecast(library, spec, "cpu") if isinstance(event, RunCost))
    assert (cost.fits, cost.is_tried, cost.ms_per_step) == (False, True, None)
    monkeypatch.setattr(forecast, "free_bytes", lambda choice: 1000)
    cost = next(event for event in forecast.forecast(library, spec, "cpu") if isinstance(event, RunCost))
    assert (cost.fits, cost.is_tried) == (False, False)
    assert cost.estimated_bytes > 1000
