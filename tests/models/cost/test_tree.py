"""The tree of parts is the built model: every tensor by name and shape, what is adapted, and what a trace reads."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest

from terrarium.models.architecture.lora import adapted_layers
from terrarium.models.cost.activations import Batch, activations
from terrarium.models.cost.counting import block_matrices
from terrarium.models.cost.tree import MATRIX, Part, design_tree, state_tensors
from terrarium.models.cost.tuning import adapted_matrices
from terrarium.models.interop.building import model_without_data
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS
from tests.models.designs import tiny_design

SMALL = {name: config for name, config in PRESETS.items() if name.endswith("-tiny")}


def check(config: ModelConfig) -> None:
    model, tree = model_without_data(config), design_tree(config)
    built = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    assert {name: tensor.shape for name, tensor in state_tensors(tree)} == built
    assert list(adapted_matrices(tree)) == adapted_layers(model)
    matrices = Counter(built[f"{name}.weight"] for name in adapted_matrices(tree))
    routers = [tensor.shape for name, tensor in state_tensors(tree) if name.endswith(".router.weight")]
    assert block_matrices(tree) == matrices + Counter(routers)


@pytest.mark.parametrize("name", SMALL)
def test_the_tree_of_a_preset_is_the_built_model(name: str) -> None:
    check(SMALL[name])


def test_the_tree_of_any_design_is_the_built_model() -> None:
    draw, n = random.Random(0), 0
    while n < 60:
        config = tiny_design(draw)
        if config is not None:
            check(config)
            n += 1


def test_a_part_is_found_by_its_path() -> None:
    tree = design_tree(PRESETS["t5-tiny"])
    assert tree.find("decoder.blocks.*.cross_attention").kind == "attention"
    assert [stack.path for stack in tree.of_kind("stack")] == ["encoder", "decoder"]
    with pytest.raises(KeyError):
        tree.find("decoder.blocks.*.convolution")


def test_experts_are_described_once() -> None:
    config = PRESETS["moe-tiny"]
    (experts,) = (node for node in design_tree(config).walk() if node.part.path == "experts")
    assert (experts.n, experts.n_used) == (config.n_layer * config.n_expert, config.n_layer * config.n_expert_used)
    assert isinstance(experts.part, Part)
    assert {tensor.role for part in experts.part.parts for tensor in part.tensors} == {MATRIX}


def test_a_kind_of_part_without_a_recorder_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    config, batch = PRESETS["gpt2-tiny"], Batch(batch_size=2, length=8, source_length=8)
    tree = design_tree(config)
    strange = replace(
        tree, parts=tuple(replace(part, kind="strange") if part.kind == "head" else part for part in tree.parts)
    )
    monkeypatch.setattr("terrarium.models.cost.activations.design_tree", lambda config: strange)
    with pytest.raises(KeyError, match="strange"):
        activations(config, batch, is_cuda=False, half=False, recomputes=False, accumulates=False)
