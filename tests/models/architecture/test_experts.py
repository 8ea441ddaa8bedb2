"""Mixtures of experts against one token at a time, and against Mixtral's block."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from terrarium.models.architecture.experts import FeedForward, MixtureOfExperts, balance_loss
from terrarium.models.architecture.trace import Trace
from terrarium.models.architecture.transformer import Decoder
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS


def make(config: ModelConfig) -> MixtureOfExperts:
    torch.manual_seed(0)
    layer = MixtureOfExperts(config)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return layer.double()


def one_by_one(layer: MixtureOfExperts, x: Tensor) -> Tensor:
    """Each token through each of its experts, weighted by the router's renormalised probabilities."""
    out = torch.zeros_like(x)
    for index in torch.cartesian_prod(*(torch.arange(n) for n in x.shape[:-1])):
        at = tuple(index.tolist())
        probabilities = torch.softmax(x[at] @ layer.router.weight.T, dim=-1)
        best = sorted(range(len(layer.experts)), key=lambda e: -probabilities[e].item())[: layer.n_used]
        for expert in best:
            out[at] += probabilities[expert] / probabilities[best].sum() * layer.experts[expert](x[at])
    return out


@given(n_expert=st.integers(1, 5), data=st.data(), activation=st.sampled_from(["swiglu", "relu", "gelu"]))
@settings(max_examples=25, deadline=None)
def test_each_token_goes_through_its_experts(n_expert: int, data: st.DataObject, activation: str) -> None:
    used = data.draw(st.integers(1, n_expert))
    config = ModelConfig(d_model=8, n_head=2, d_ff=6, n_expert=n_expert, n_expert_used=used, activation=activation)
    layer = make(config)
    x = torch.randn(2, 3, 8, dtype=torch.float64)
    torch.testing.assert_close(layer(x), one_by_one(layer, x), rtol=1e-5, atol=1e-6)  # the router is float32


def test_it_is_mixtrals_block() -> None:
    from transformers import MixtralConfig
    from transformers.models.mixtral.modeling_mixtral import MixtralSparseMoeBlock

    config = dataclasses.replace(PRESETS["moe-tiny"], d_model=16, n_head=2, n_kv_head=2, d_ff=12, n_expert=4)
    layer = make(config).float()
    theirs = MixtralSparseMoeBlock(
        MixtralConfig(hidden_size=16, intermediate_size=12, num_local_experts=4, num_experts_per_tok=2)
    ).eval()
    with torch.no_grad():
        theirs.gate.weight.copy_(layer.router.weight)
        for i, expert in enumerate(layer.experts):
            assert isinstance(expert, FeedForward)
            assert expert.gate is not None
            theirs.experts.gate_up_proj[i].copy_(torch.cat((expert.gate.weight, expert.up.weight)))
            theirs.experts.down_proj[i].copy_(expert.down.weight)
        x = torch.randn(3, 7, 16)
        torch.testing.assert_close(layer(x), theirs(x), rtol=1e-4, atol=1e-5)


def test_one_expert_is_a_feed_forward() -> None:
    config = ModelConfig(d_model=8, n_head=2, n_expert=1, n_expert_used=1)
    layer = make(config)
    x = torch.randn(2, 3, 8, dtype=torch.float64)
    torch.testing.assert_close(layer(x), layer.experts[0](x))


def test_gradients_reach_the_router_and_the_experts_in_use() -> None:
    config = ModelConfig(d_model=8, n_head=2, d_ff=6, n_expert=3, n_expert_used=2)
    layer = make(config)
    with torch.no_grad():
        layer.router.weight[2] = layer.router.weight.min() - 1  # the least liked by positive inputs
    layer(torch.rand(2, 5, 8, dtype=torch.float64)).square().sum().backward()
    assert layer.router.weight.grad is not None
    assert layer.router.weight.grad.abs().max() > 0
    used = layer.experts[0].up.weight.grad
    assert used is not None
    assert used.abs().max() > 0
    idle = layer.experts[2].up.weight.grad
    assert idle is None or idle.abs().max() == 0


@pytest.mark.parametrize("n_used", [1, 2, 4])
def test_the_balance_loss_is_one_where_all_is_even(n_used: int) -> None:
    n_expert, n_token = 4, 8
    even = torch.full((n_token, n_expert), 1 / n_expert)
    in_turn = (torch.arange(n_token)[:, None] + torch.arange(n_used)) % n_expert
    trace = Trace()
    trace.router = {"blocks.0.feed_forward": (even, in_turn), "blocks.1.feed_forward": (even, in_turn)}
    assert balance_loss(trace).item() == pytest.approx(1.0)


def test_the_balance_loss_grows_to_the_number_of_experts() -> None:
    probabilities = torch.eye(4)[torch.zeros(8, dtype=torch.long)]
    trace = Trace()
    trace.router = {"a": (probabilities, torch.zeros(8, 1, dtype=torch.long))}
    assert balance_loss(trace).item() == pytest.approx(4.0)
    half = torch.eye(4)[torch.arange(8) % 2]
    trace = Trace()
    trace.router = {"a": (half, (torch.arange(8) % 2)[:, None])}
    assert balance_loss(trace).item() == pytest.approx(2.0)


def test_a_trace_gets_every_layers_router() -> None:
    torch.manual_seed(0)
    model = Decoder(dataclasses.replace(PRESETS["moe-tiny"], vocab_size=20, d_model=16, n_head=2, n_layer=3, d_ff=8))
    trace = Trace(wanted=frozenset({"router"}))
    model(torch.randint(0, 20, (2, 5)), trace=trace)
    assert list(trace.router) == [f"blocks.{i}.feed_forward" for i in range(3)]
    for probabilities, chosen in trace.router.values():
        assert probabilities.shape == (10, 4)
        torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(10))
        assert torch.equal(chosen, probabilities.topk(2, dim=1).indices)
    balance_loss(trace).backward()
    router = model.blocks[0].feed_forward.router.weight.grad
    assert router is not None
    assert router.abs().max() > 0
