"""Costs: parameters are exact; operations and memory agree with what torch counts and keeps."""

import dataclasses
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from models.config import PRESETS, ModelConfig
from models.cost import flops_per_token, kv_cache_bytes, memory, parameters, total_parameters, training_flops_per_token
from models.inference.cache import KVCache
from models.training.optim import make_optimizers
from models.training.spec import TrainConfig
from models.transformer import Decoder

BATCH, LENGTH = 3, 48
SMALL = {
    name: dataclasses.replace(config, context_length=LENGTH) for name, config in PRESETS.items() if "124" not in name
}


@st.composite
def configs(draw: st.DrawFn) -> ModelConfig:
    n_head = draw(st.sampled_from([1, 2, 4]))
    return ModelConfig(
        vocab_size=draw(st.integers(2, 50)),
        context_length=draw(st.integers(2, 20)),
        n_layer=draw(st.integers(1, 3)),
        n_head=n_head,
        n_kv_head=draw(st.sampled_from([n for n in (0, 1, 2, 4) if n <= n_head])),
        d_model=n_head * draw(st.sampled_from([2, 4, 6])),
        d_ff=draw(st.sampled_from([0, 7])),
        position=draw(st.sampled_from(["learned", "rope"])),
        norm=draw(st.sampled_from(["layernorm", "rmsnorm"])),
        activation=draw(st.sampled_from(["gelu", "gelu_tanh", "relu", "relu2", "swiglu"])),
        conv_width=draw(st.sampled_from([0, 1, 4])),
        qk_norm=draw(st.booleans()),
        bias=draw(st.sampled_from(("all", "none"))),
        tied_embeddings=draw(st.booleans()),
    )


@given(config=configs())
@settings(max_examples=30, deadline=None)
def test_parameters_are_exact(config: ModelConfig) -> None:
    model = Decoder(config)
    assert total_parameters(config) == model.n_parameters
    found = parameters(config)
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    assert found["Token embedding"] == sizes["embedding.weight"]
    assert found["Head"] == sizes.get("head.weight", 0)
    assert found["Short convolution"] == sum(n for name, n in sizes.items() if "_conv." in name)
    assert found["Norms"] == sum(n for name, n in sizes.items() if "norm." in name)
    assert found["Feed-forward"] == sum(n for name, n in sizes.items() if ".feed_forward." in name)


@pytest.mark.parametrize("name", PRESETS)
def test_parameters_of_presets(name: str) -> None:
    with torch.device("meta"):
        model = Decoder(PRESETS[name])
    assert total_parameters(PRESETS[name]) == model.n_parameters


def test_gpt2_has_its_published_size() -> None:
    assert total_parameters(PRESETS["gpt2-124m"]) == 124_439_808


@pytest.mark.parametrize("name", SMALL)
def test_operations_are_those_that_torch_counts(name: str) -> None:
    config = dataclasses.replace(SMALL[name], dropout=0.1)  # with dropout attention is not fused, and so is counted
    model, ids = Decoder(config), torch.zeros(BATCH, LENGTH, dtype=torch.long)
    with FlopCounterMode(display=False) as counter:
        logits = model(ids)
    convolutions = 2 * 2 * config.n_layer * config.conv_width * config.d_model  # ours is not one that torch counts
    assert counter.get_total_flops() == BATCH * LENGTH * (flops_per_token(config) - convolutions)
    with FlopCounterMode(display=False) as backward:
        logits.sum().backward()
    total = counter.get_total_flops() + backward.get_total_flops()
    assert total == pytest.approx(BATCH * LENGTH * training_flops_per_token(config), rel=0.02)


@pytest.mark.parametrize("dropout", [0.0, 0.1])
@pytest.mark.parametrize("name", SMALL)
def test_activations_are_those_that_torch_keeps(name: str, dropout: float) -> None:
    config = dataclasses.replace(SMALL[name], dropout=dropout)
    model, ids = Decoder(config), torch.zeros(BATCH, LENGTH, dtype=torch.long)
    own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: dict[int, torch.Tensor] = {}  # holding the tensors keeps their addresses apart

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage().data_ptr() not in own:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        F.cross_entropy(model(ids).flatten(0, 1), ids.flatten())
    measured = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    gradient_of_logits = 4 * BATCH * LENGTH * config.vocab_size
    estimated = memory(config, BATCH, LENGTH)["Activations"]
    assert estimated == pytest.approx(measured + gradient_of_logits, rel=0.08)


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_optimizer_states_are_those_that_torch_keeps(optimizer: str) -> None:
    config = SMALL["terrarium-tiny"]
    model = Decoder(config)
    optimizers = make_optimizers(model, TrainConfig(optimizer=optimizer))
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    for each in optimizers:
        each.step()
    states = [value for each in optimizers for state in each.state.values() for value in state.values()]
    measured = sum(value.nbytes for value in states if value.dim() > 0)
    estimated = memory(config, BATCH, LENGTH, optimizer)
    assert estimated["Optimizer"] == measured
    assert estimated["Weights"] == estimated["Gradients"] == sum(p.nbytes for p in model.parameters())


@pytest.mark.parametrize("name", SMALL)
def test_kv_cache_is_what_is_kept(name: str) -> None:
    config = SMALL[name]
    cache = KVCache(config.n_layer)
    with torch.no_grad():
        Decoder(config)(torch.zeros(BATCH, 10, dtype=torch.long), cache=cache)
        none = torch.zeros(BATCH, config.kv_heads, 0, config.head_dim)
        kept = [tensor for layer in cache.layers for tensor in layer.extend(none, none)]
    assert kv_cache_bytes(config, 10, BATCH) == sum(tensor.nbytes for tensor in kept)


def test_costs_need_no_torch() -> None:
    code = "import sys, models.cost; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
