"""The tree of parts is the built model: every tensor by name and shape, what is adapted, and what a trace reads."""

from __future__ import annotations

import dataclasses
import random
from collections import Counter

import pytest
import torch

from terrarium.models.architecture.lora import adapted_layers
from terrarium.models.architecture.transformer import build_model
from terrarium.models.design.activations import Batch, activations
from terrarium.models.design.counting import block_matrices
from terrarium.models.design.tree import MATRIX, OWN, RESIDUAL, ZERO, Part, design_tree, state_tensors
from terrarium.models.design.tuning import adapted_matrices
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


@pytest.mark.parametrize("n_expert", [0, 3])
def test_the_norm_of_a_feed_forward_is_a_part(n_expert: int) -> None:
    config = ModelConfig(vocab_size=60, context_length=16, n_layer=2, d_model=32, activation="solu", n_expert=n_expert)
    check(config)
    path = "blocks.*.feed_forward.experts.*.norm" if n_expert else "blocks.*.feed_forward.norm"
    assert [tensor.shape for tensor in design_tree(config).find(path).tensors] == [(128,), (128,)]


def test_initial_weights_are_drawn_as_the_tree_says() -> None:
    config = ModelConfig(
        vocab_size=600, context_length=16, n_layer=2, n_head=2, d_model=64, scaled_scores=False, scaled_logits=True
    )
    config = dataclasses.replace(config, conv_width=2, max_ngram=3, ngram_rows=200, tied_embeddings=False)
    torch.manual_seed(0)
    model = build_model(config)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.initialise()
    stds = {"normal": 0.02, "residual": 0.01, "query": 0.02 / 32**0.5, "output table": 0.16, "projection": 32**-0.5}
    for name, tensor in state_tensors(design_tree(config)):
        drawn = model.state_dict()[name]
        if tensor.init in (ZERO, OWN):
            assert torch.equal(drawn, before[name]), name
            assert tensor.init == OWN or not drawn.any(), name
        else:
            assert drawn.std().item() == pytest.approx(stds[tensor.init], rel=0.1), name
            assert not torch.equal(drawn, before[name]), name


def test_outputs_can_start_at_zero() -> None:
    config = ModelConfig(vocab_size=60, context_length=16, n_layer=2, d_model=32, zero_init_output=True, n_expert=2)
    weights = build_model(config).state_dict()
    plain = state_tensors(design_tree(dataclasses.replace(config, zero_init_output=False)))
    outputs = [name for name, tensor in plain if tensor.init == RESIDUAL]
    assert outputs
    assert not any(weights[name].any() for name in outputs)


def test_a_kind_of_part_without_a_recorder_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    config, batch = PRESETS["gpt2-tiny"], Batch(batch_size=2, length=8, source_length=8)
    tree = design_tree(config)
    strange = dataclasses.replace(
        tree,
        parts=tuple(dataclasses.replace(part, kind="strange") if part.kind == "head" else part for part in tree.parts),
    )
    monkeypatch.setattr("terrarium.models.design.activations.design_tree", lambda config: strange)
    with pytest.raises(KeyError, match="strange"):
        activations(config, batch, is_cuda=False, half=False, recomputes=False, accumulates=False)
