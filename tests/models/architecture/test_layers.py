"""The building blocks against their definitions, written out plainly."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from terrarium.models.architecture.attention import Attention, AttentionContext
from terrarium.models.architecture.block import Block
from terrarium.models.architecture.cache import KVCache
from terrarium.models.architecture.convolution import ShortConv
from terrarium.models.architecture.experts import FeedForward
from terrarium.models.architecture.norms import make_norm
from terrarium.models.architecture.positions import Rotary, rotate
from terrarium.models.settings.model_config import ModelConfig


@pytest.fixture
def config(tiny_config: ModelConfig) -> ModelConfig:
    return dataclasses.replace(tiny_config, n_head=4)


def angles_of(config: ModelConfig, length: int) -> tuple[Tensor, Tensor]:
    rotary = Rotary(config)
    cos, sin = rotary(torch.arange(length)[None])
    return cos.double(), sin.double()


def test_rotation_turns_pairs_and_keeps_lengths(config: ModelConfig) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 10, config.head_dim, dtype=torch.float64)
    cos, sin = angles_of(config, 10)
    half = config.head_dim // 2
    turned = torch.complex(x[..., :half], x[..., half:]) * torch.complex(cos, sin)[..., :half]
    expected = torch.cat((turned.real, turned.imag), dim=-1)
    torch.testing.assert_close(rotate(x, cos, sin), expected)
    torch.testing.assert_close(rotate(x, cos, sin).norm(dim=-1), x.norm(dim=-1))
    torch.testing.assert_close(rotate(x, cos, sin)[:, :, 0], x[:, :, 0])


def test_rotated_products_depend_on_the_distance_only(config: ModelConfig) -> None:
    torch.manual_seed(0)
    q, k = torch.randn(2, 1, 1, 1, config.head_dim, dtype=torch.float64).expand(2, 1, 1, 12, -1)
    cos, sin = angles_of(config, 12)
    scores = rotate(q, cos, sin) @ rotate(k, cos, sin).mT
    for distance in range(-11, 12):
        diagonal = scores[0, 0].diagonal(distance)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), rtol=1e-5, atol=1e-5)  # angles: float32
    assert not torch.allclose(scores[0, 0, 5, 0], scores[0, 0, 5, 4])


def test_the_gradient_of_a_rotation(config: ModelConfig) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 2, 5, config.head_dim, dtype=torch.float64, requires_grad=True)
    cos, sin = angles_of(config, 5)
    assert torch.autograd.gradcheck(lambda x: rotate(x, cos, sin), (x,))


def plain_convolution(conv: ShortConv, x: Tensor, tail: Tensor | None, segments: Tensor | None) -> Tensor:
    """Token by token, as the docstring says it."""
    past = conv.width - 1
    before = torch.zeros(x.size(0), past, x.size(2), dtype=x.dtype) if tail is None else tail
    whole = torch.cat((before, x), dim=1)
    out = x.clone()
    for row in range(x.size(0)):
        for t in range(x.size(1)):
            for back in range(conv.width):
                inside = segments is None or (t >= back and bool(segments[row, t] == segments[row, t - back]))
                if inside:
                    out[row, t] += whole[row, past + t - back] * conv.weight[past - back]
    return out


@pytest.mark.parametrize("width", [1, 2, 4, 5])
@pytest.mark.parametrize("length", [1, 2, 9])
def test_short_convolution(config: ModelConfig, width: int, length: int) -> None:
    torch.manual_seed(0)
    conv = ShortConv(dataclasses.replace(config, conv_width=width)).double()
    x = torch.randn(2, length, config.d_model, dtype=torch.float64)
    tail = torch.randn(2, width - 1, config.d_model, dtype=torch.float64)
    segments = torch.tensor([[0, 0, 0, 1, 1, 2, 2, 2, 2], [0, 1, 1, 1, 1, 1, 1, 1, 3]])[:, :length]
    torch.testing.assert_close(conv(x, None, None), plain_convolution(conv, x, None, None))
    torch.testing.assert_close(conv(x, tail, None), plain_convolution(conv, x, tail, None))
    torch.testing.assert_close(conv(x, None, segments), plain_convolution(conv, x, None, segments))


@pytest.mark.parametrize("width", [1, 4])
@pytest.mark.parametrize("length", [1, 3, 6])
def test_the_gradient_of_a_short_convolution(config: ModelConfig, width: int, length: int) -> None:
    torch.manual_seed(0)
    conv = ShortConv(dataclasses.replace(config, conv_width=width, d_model=4, n_head=2)).double()
    x = torch.randn(2, length, 4, dtype=torch.float64, requires_grad=True)
    tail = torch.randn(2, width - 1, 4, dtype=torch.float64, requires_grad=width > 1)
    segments = torch.arange(length).expand(2, -1) // 2

    def convolve(x: Tensor, weight: Tensor, tail: Tensor | None, segments: Tensor | None) -> Tensor:
        return torch.func.functional_call(conv, {"weight": weight}, (x, tail, segments))

    for arguments in ((None, None), (tail, None), (None, segments)):
        assert torch.autograd.gradcheck(convolve, (x, conv.weight, *arguments))


@pytest.mark.parametrize("n_kv_head", [0, 2, 1])
def test_attention_shares_keys_and_values_within_groups(config: ModelConfig, n_kv_head: int) -> None:
    torch.manual_seed(0)
    config = dataclasses.replace(config, n_kv_head=n_kv_head, qk_norm=False)
    attention = Attention(config).double()
    x = torch.randn(2, 7, config.d_model, dtype=torch.float64)
    heads, groups, width = config.n_head, config.kv_heads, config.head_dim
    q, k, v = attention.query(x), attention.key(x), attention.value(x)
    assert k.shape == v.shape == (2, 7, groups * width)
    outs = []
    for head in range(heads):
        group = head // (heads // groups)
        own, shared = slice(head * width, (head + 1) * width), slice(group * width, (group + 1) * width)
        scores = q[..., own] @ k[..., shared].mT / width**0.5
        scores = scores.masked_fill(torch.ones(7, 7).triu(1).bool(), float("-inf"))
        outs.append(scores.softmax(dim=-1) @ v[..., shared])
    expected = attention.output(torch.cat(outs, dim=-1))
    torch.testing.assert_close(attention(x, AttentionContext(causal=True)), expected)
    causal = torch.ones(7, 7).tril().bool()[None, None]
    torch.testing.assert_close(attention(x, AttentionContext(mask=causal)), expected)


def test_qk_norm_makes_scores_independent_of_size(config: ModelConfig) -> None:
    torch.manual_seed(0)
    attention = Attention(config).double()
    x = torch.randn(1, 6, config.d_model, dtype=torch.float64)
    before = attention(x, AttentionContext(causal=True))
    with torch.no_grad():
        attention.query.weight *= 7
        attention.key.weight *= 0.5
    torch.testing.assert_close(attention(x, AttentionContext(causal=True)), before, rtol=1e-3, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("norm", ["layernorm", "rmsnorm"])
def test_solu_is_a_softmax_times_its_input_and_a_norm(norm: str) -> None:
    """Each number by hand: x · exp(x) / Σ exp(x), minus the mean, over the standard deviation, times the gain."""
    torch.manual_seed(0)
    design = ModelConfig(d_model=8, n_head=2, d_ff=6, activation="solu", norm=norm, norm_eps=1e-5)
    layer, x = FeedForward(design), torch.randn(2, 3, 8)
    assert layer.norm is not None
    for parameter in layer.norm.parameters():
        torch.nn.init.normal_(parameter)
    for row, out in zip(x.flatten(0, 1), layer(x).flatten(0, 1), strict=True):
        a = layer.up(row).tolist()
        total = sum(math.exp(value) for value in a)
        h = [value * math.exp(value) / total for value in a]
        mean = sum(h) / 6 if norm == "layernorm" else 0.0
        spread = (sum((value - mean) ** 2 for value in h) / 6 + 1e-5) ** 0.5
        gain, shift = layer.norm.weight, getattr(layer.norm, "bias", None)
        scaled = torch.tensor([(value - mean) / spread for value in h]) * gain + (0.0 if shift is None else shift)
        torch.testing.assert_close(out, layer.down(scaled), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("activation", ["gelu", "gelu_tanh", "relu", "relu2", "swiglu"])
def test_feed_forward(config: ModelConfig, activation: str) -> None:
    torch.manual_seed(0)
    layer = FeedForward(dataclasses.replace(config, activation=activation)).double()
    x = torch.randn(3, config.d_model, dtype=torch.float64)
    h = layer.up(x)
    if activation == "swiglu":
        assert layer.gate is not None
        gate = layer.gate(x)
        h = gate * torch.sigmoid(gate) * h
    elif activation.startswith("gelu"):
        phi = 0.5 * (1 + torch.erf(h / 2**0.5))
        if activation == "gelu_tanh":
            phi = 0.5 * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (h + 0.044715 * h**3)))
        h = h * phi
    else:
        h = h.clamp(min=0) ** (2 if activation == "relu2" else 1)
    torch.testing.assert_close(layer(x), layer.down(h))


@pytest.mark.parametrize("norm", ["layernorm", "rmsnorm"])
def test_norms(config: ModelConfig, norm: str) -> None:
    torch.manual_seed(0)
    layer = make_norm(dataclasses.replace(config, norm=norm, bias="all"), 8)
    x = torch.randn(4, 8) * 5 + 2
    centred = x - x.mean(dim=-1, keepdim=True) if norm == "layernorm" else x
    torch.testing.assert_close(layer(x), centred / (centred.square().mean(dim=-1, keepdim=True) + 1e-5).sqrt())
    assert layer(x).dtype == x.dtype


def test_a_block_adds_to_its_input(config: ModelConfig) -> None:
    block = Block(config)
    with torch.no_grad():
        block.attention.output.weight.zero_()
        block.feed_forward.down.weight.zero_()
    x = torch.randn(2, 5, config.d_model)
    assert torch.equal(block(x, AttentionContext(causal=True)), x)


def test_a_cache_keeps_the_last_inputs_of_convolutions(config: ModelConfig) -> None:
    cache = KVCache(1)
    x = torch.randn(2, 6, config.d_model)
    assert cache.layers[0].shift("attention", x[:, :2], 3) is None
    before = cache.layers[0].shift("attention", x[:, 2:], 3)
    assert before is not None
    assert torch.equal(before, F.pad(x[:, :2], (0, 0, 1, 0)))
    assert torch.equal(cache.layers[0].tails["attention"], x[:, 3:])
