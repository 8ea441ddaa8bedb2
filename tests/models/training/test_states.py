"""Optimizer states in bfloat16: right on average, half the memory, and an exact resume."""

import dataclasses
from collections.abc import Callable

import pytest
import torch

from terrarium.models.events import TrainMetrics
from terrarium.models.interop.stored import read_tensors
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.optimizers import OPTIMIZERS
from terrarium.models.training.optim import RoundedAdamW
from terrarium.models.training.states import CHUNK, RoundedStates
from terrarium.models.training.trainer import Trainer
from tests.models.training.support import assert_same_end, make_run, train

CPU = torch.device("cpu")
SETTINGS = {"state_dtype": "bfloat16", "precision": "float32"}


def rounded(value: torch.Tensor, step: int = 0) -> torch.Tensor:
    states = RoundedStates(seed=1)
    states.begin(step, CPU)
    kept = states.new(value)
    states.write(kept, value.clone())
    return states.read(kept)


def test_rounding_goes_to_a_neighbour_and_is_right_on_average() -> None:
    n = CHUNK + 5  # more than one part, and not a multiple of four
    for value in (1 + 1 / 1024, -3.3e-9, 1e30, -1.0, 0.0):
        numbers = torch.full((n,), value)
        found = rounded(numbers)
        assert len(found.unique()) <= 2
        assert found.sub(numbers).abs().max() <= 2**-7 * abs(value)
        assert found.double().mean() == pytest.approx(float(numbers[0]), rel=2**-7 / n**0.5 * 4)
    assert torch.equal(rounded(numbers), rounded(numbers))
    numbers = torch.rand(1000)
    assert torch.equal(rounded(numbers, 3), rounded(numbers, 3))
    assert not torch.equal(rounded(numbers, 3), rounded(numbers, 4))


def test_the_second_moment_falls_where_rounding_to_nearest_would_hold_it() -> None:
    parameter = torch.nn.Parameter(torch.zeros(4096))
    optimizer = RoundedAdamW([{"params": [parameter]}], lr=0.0, betas=(0.9, 0.999), states=RoundedStates(0))
    gradients = [1.0] + [0.0] * 700
    for gradient in gradients:
        parameter.grad = torch.full_like(parameter, gradient)
        optimizer.step()
    expected = 0.001 * 0.999**700
    second = optimizer.state[parameter]["exp_avg_sq"]
    assert second.dtype == torch.bfloat16
    assert float(second.double().mean()) == pytest.approx(expected, rel=0.02)
    nearest = torch.tensor(0.001).bfloat16()
    assert torch.equal((nearest.float() * 0.999).bfloat16(), nearest)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_loss_falls_as_with_float32(
    library: Library, tiny_config: ModelConfig, optimizer: str, trained_at_once: Callable[..., RunFolder]
) -> None:
    settings = {"steps": 40, "optimizer": optimizer, "lr": 1e-3, "eval_interval": 40, "precision": "float32"}
    losses = {}
    for state_dtype in ("float32", "bfloat16"):
        run = trained_at_once(tiny_config, **settings, state_dtype=state_dtype)
        first, *_, losses[state_dtype] = (row["loss"] for row in run.read_metrics() if row["kind"] == "val")
    assert losses["float32"] < first - 0.5
    assert abs(losses["bfloat16"] - losses["float32"]) < 0.02 * (first - losses["float32"])


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_resume_is_exact_and_states_take_half(
    library: Library, tiny_config: ModelConfig, optimizer: str, trained_at_once: Callable[..., RunFolder]
) -> None:
    config = dataclasses.replace(tiny_config, dropout=0.1)
    reference = trained_at_once(config, **SETTINGS, optimizer=optimizer)
    run = make_run(library, config, **SETTINGS, optimizer=optimizer)
    trainer = Trainer(run, library, device="cpu")
    for event in trainer.events():
        if isinstance(event, TrainMetrics) and event.step == 5:
            trainer.request_stop()
    train(run, library)
    assert_same_end(run, reference)
    path = run.latest_checkpoint()
    assert path is not None
    kept = read_tensors(path / "optimizer.safetensors")
    assert {value.dtype for value in kept.values() if value.dim()} == {torch.bfloat16}
    expected = read_tensors(reference.checkpoint_path(10) / "optimizer.safetensors")
    assert all(torch.equal(value, expected[name]) for name, value in kept.items())
