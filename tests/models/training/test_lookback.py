"""A first layer that looks back is never trained, but is part of what is kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch
from safetensors.torch import load_file

from terrarium.models.architecture.lookback import is_fixed
from terrarium.models.architecture.lora import DOWN, UP
from terrarium.models.architecture.transformer import build_model
from terrarium.models.interop.loading import load_model
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.tune_spec import TuneSpec
from terrarium.models.training.trainer import prepare_run
from tests.models.training.support import make_spec, result_of, train

Trained = Callable[..., RunFolder]


@pytest.fixture
def parent(trained_at_once: Trained, tiny_config: ModelConfig) -> RunFolder:
    design = dataclasses.replace(
        tiny_config, n_layer=2, position="rope", qk_norm=True, n_kv_head=0, lookback=tiny_config.n_head
    )
    return trained_at_once(design, steps=6)


def weights_of(run: RunFolder) -> dict[str, torch.Tensor]:
    checkpoint = run.latest_checkpoint()
    assert checkpoint is not None
    return load_file(checkpoint / "model.safetensors")


def test_only_the_other_layers_learn(parent: RunFolder) -> None:
    config, after = parent.spec.model, weights_of(parent)
    torch.manual_seed(parent.spec.train.seed)
    before = build_model(config).state_dict()
    assert set(after) == set(before)
    fixed = {name for name in after if is_fixed(name, config)}
    assert fixed
    for name in fixed:
        is_drawn = name.endswith("output.weight")  # its factors
        assert is_drawn or torch.equal(after[name], before[name])
    assert not torch.equal(after["blocks.1.attention.query.weight"], before["blocks.1.attention.query.weight"])


def test_a_checkpoint_is_complete(parent: RunFolder) -> None:
    model, _ = load_model(parent.folder)
    for name, tensor in weights_of(parent).items():
        assert torch.equal(model.state_dict()[name], tensor)


def fine_tuned(library: Library, parent: RunFolder, mode: str) -> RunFolder:
    spec = make_spec(library.home, ModelConfig(), optimizer="adamw", lr=1e-2, steps=3)
    tune = TuneSpec(parent=str(parent.folder), mode=mode, lora_r=2)
    run: RunFolder = result_of(prepare_run(library, dataclasses.replace(spec, name="tuned", tune=tune)))
    train(run, library)
    return run


def test_fine_tuning_leaves_it_too(library: Library, parent: RunFolder) -> None:
    run = fine_tuned(library, parent, "all")
    before, after = load_model(parent.folder)[0].state_dict(), load_model(run.folder)[0].state_dict()
    for name, tensor in after.items():
        assert torch.equal(tensor, before[name]) == is_fixed(name, parent.spec.model), name


def test_adapters_change_it_and_are_all_that_is_kept(library: Library, parent: RunFolder) -> None:
    run = fine_tuned(library, parent, "lora")
    assert all(name.endswith((DOWN, UP)) for name in weights_of(run))
    before, after = load_model(parent.folder)[0].state_dict(), load_model(run.folder)[0].state_dict()
    assert not torch.equal(after["blocks.0.feed_forward.down.weight"], before["blocks.0.feed_forward.down.weight"])
