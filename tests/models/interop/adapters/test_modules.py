"""Adapters of every family: added to a matrix there, they make what the merged matrix is there."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from terrarium.models.architecture.lora import DOWN, UP, add_adapters, merged
from terrarium.models.interop.adapters.modules import joined, modules_of, pairs_of, split
from terrarium.models.interop.export import remote_tensors
from terrarium.models.interop.families import family_for_export
from terrarium.models.settings.presets import PRESETS
from tests.models.interop.adapters.support import SMALL
from tests.models.interop.support import assert_close
from tests.models.interop.test_export import random_model

FAMILIES = ("llama", "gpt2", "moe", "bert", "t5", "bart", "transformer", "terrarium")


@pytest.mark.parametrize("name", FAMILIES)
def test_joined_they_change_the_matrix_as_merged_ones(name: str) -> None:
    model = random_model(dataclasses.replace(PRESETS[f"{name}-tiny"], **SMALL))
    weights = family_for_export(model.config).weights(model.config)
    before = remote_tensors({key: value.clone() for key, value in model.state_dict().items()}, weights)
    scale = 1.5
    add_adapters(model, 2, scale)
    for key, parameter in model.named_parameters():
        if key.endswith(UP):
            torch.nn.init.normal_(parameter, std=0.3)
    adapters = {key: value.clone() for key, value in model.state_dict().items() if key.endswith((DOWN, UP))}
    with merged(model):
        after = remote_tensors({key: value.clone() for key, value in model.state_dict().items()}, weights)
    modules = modules_of(model.config, weights)
    assert {path for module in modules for path, _ in module.parts} == {
        key.removesuffix(f".{DOWN}") for key in adapters if key.endswith(DOWN)
    }
    for module in modules:
        a, b = joined(module, pairs_of(module, adapters))
        added = scale * b @ a
        key = f"{module.name}.weight"
        assert_close(after[key], before[key] + (added.T if module.transposed else added))
        if len(module.parts) == 1:
            [(path, a_here, b_here)] = split(module, a, b)
            assert torch.equal(a_here, adapters[f"{path}.{DOWN}"])
            assert torch.equal(b_here, adapters[f"{path}.{UP}"])
