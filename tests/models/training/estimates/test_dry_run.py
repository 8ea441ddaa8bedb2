"""Dry runs: three real steps are measured, and everything is freed."""

import dataclasses
import gc
import weakref
from typing import Any

import pytest
import torch

from terrarium.models.design import training_memory
from terrarium.models.device import DeviceChoice
from terrarium.models.events import Event, Phase, Progress
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS
from terrarium.models.settings.run_spec import TrainConfig
from terrarium.models.training.estimates import dry_run as module
from terrarium.models.training.estimates.dry_run import DryRun, dry_run
from tests.models.designs import TOPOLOGIES, random_design

TRAIN = TrainConfig(batch_size=4, grad_accum_steps=2, precision="float32")


def finish(config: ModelConfig, train: TrainConfig = TRAIN, device: Any = "cpu") -> tuple[list[Event], DryRun]:
    """All events, with torch's random state looked at on each, and the result."""
    state, events, steps = torch.get_rng_state(), [], dry_run(config, train, device)
    while True:
        try:
            events.append(next(steps))
        except StopIteration as end:
            assert torch.equal(torch.get_rng_state(), state)
            return events, end.value
        assert torch.equal(torch.get_rng_state(), state)
        assert torch.is_grad_enabled()
        assert not torch.is_autocast_enabled("cpu")


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_three_steps_are_measured_and_compared_with_the_estimate(topology: str, optimizer: str) -> None:
    config = random_design(topology, 7)[0]
    events, result = finish(config, dataclasses.replace(TRAIN, optimizer=optimizer))
    assert isinstance(events[0], Phase)
    assert "random" in events[0].name
    progress = [event for event in events if isinstance(event, Progress)]
    assert [event.done for event in progress] == list(range(progress[0].total + 1))
    assert len(result.step_ms) == 3
    assert result.ms_per_step == pytest.approx(sum(result.step_ms[1:]) / 2)
    n_texts = 2 if topology == "encoder-decoder" else 1
    assert result.tokens_per_s * result.ms_per_step == pytest.approx(1000 * 4 * 2 * n_texts * config.context_length)
    assert (result.batch_size, result.length, result.precision) == (4, config.context_length, "float32")
    assert result.peak_bytes is not None
    # The estimate counts all gradients throughout; those of the first of two micro-batches come while activations go.
    assert 0.9 * result.peak_bytes < result.estimated_bytes < 1.25 * result.peak_bytes


def test_a_design_that_does_not_fit_is_refused_before_it_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(config: ModelConfig) -> None:
        raise AssertionError("built")

    monkeypatch.setattr(module, "build_model", build)
    tight = DeviceChoice(device=torch.device("cpu"), label="CPU (1 core)", memory_bytes=30_000_000)
    with pytest.raises(ValueError, match=r"needs about .* but the CPU \(1 core\) has 28\.6 MiB\. Use a batch_size of"):
        finish(PRESETS["gpt2-tiny"], device=tight)
    huge = dataclasses.replace(PRESETS["llama3-8b"], n_layer=1000)
    with pytest.raises(ValueError, match="TiB"):
        finish(huge)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_its_advice_is_for_the_precision_and_accumulation_of_the_run(precision: str) -> None:
    config, train = PRESETS["gpt2-tiny"], TrainConfig(batch_size=24, grad_accum_steps=2, precision=precision)
    enough = training_memory(config, 11, config.context_length, train.optimizer, precision=precision)
    tight = DeviceChoice(device=torch.device("cpu"), label="CPU", memory_bytes=sum(enough.values()))
    with pytest.raises(ValueError, match="Use a batch_size of 8 instead of 24, and grad_accum_steps 6"):
        finish(config, train, tight)


def test_running_out_of_memory_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(config: ModelConfig) -> None:
        raise MemoryError

    monkeypatch.setattr(module, "build_model", build)
    with pytest.raises(ValueError, match="too small for this run"):
        finish(PRESETS["gpt2-tiny"])


def test_a_bare_encoder_has_nothing_to_train() -> None:
    with pytest.raises(ValueError, match="no head"):
        finish(dataclasses.replace(PRESETS["bert-tiny"], head="none"))


@pytest.mark.parametrize("n_events", [3, 100])
def test_everything_is_freed(monkeypatch: pytest.MonkeyPatch, n_events: int) -> None:
    built: list[weakref.ref[Any]] = []
    real = module.build_model

    def build(config: ModelConfig) -> Any:
        model = real(config)
        built.append(weakref.ref(model))
        return model

    monkeypatch.setattr(module, "build_model", build)
    steps = dry_run(random_design("decoder-only", 4)[0], TRAIN, "cpu")
    for _, _event in zip(range(n_events), steps, strict=False):
        pass
    steps.close()
    gc.collect()
    assert [reference() for reference in built] == [None]
