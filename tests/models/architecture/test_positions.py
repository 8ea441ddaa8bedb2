"""Every scheme of positions against its published formula, or Hugging Face's transformers."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from terrarium.models.architecture.cache import KVCache
from terrarium.models.architecture.positions import (
    Alibi,
    Fire,
    RelativeBias,
    Rotary,
    inverse_frequencies,
    relative_bucket,
    rotate,
    sinusoidal,
)
from terrarium.models.architecture.rope import alibi_slopes
from terrarium.models.architecture.transformer import Decoder, build_model
from terrarium.models.settings.model_config import ModelConfig


@pytest.mark.parametrize("width", [2, 5, 16])
def test_waves_are_those_of_the_paper(width: int) -> None:
    """PE(pos, 2i) = sin(pos / 10000^(2i/d)), PE(pos, 2i + 1) = cos(pos / 10000^(2i/d))."""
    positions = torch.tensor([[0, 1, 2, 50], [7, 300, 4, 4]])
    table = sinusoidal(positions, width)
    assert table.shape == (2, 4, width)
    for row in range(2):
        for t in range(4):
            for i in range(width):
                angle = positions[row, t].item() / 10_000 ** ((i - i % 2) / width)
                wave = math.cos(angle) if i % 2 else math.sin(angle)
                assert table[row, t, i].item() == pytest.approx(wave, abs=3e-5)


def rope_config(**slots: Any) -> ModelConfig:
    return ModelConfig(position="rope", **slots)


def reference(config: ModelConfig, length: int | None, **parameters: Any) -> tuple[torch.Tensor, float]:
    """transformers' frequencies and score factor."""
    from transformers import LlamaConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    theirs = LlamaConfig(
        hidden_size=config.d_model,
        num_attention_heads=config.n_head,
        head_dim=config.head_dim,
        max_position_embeddings=config.rope_original_context if length else config.context_length,
        rope_parameters={"rope_type": config.rope_scaling, "rope_theta": config.rope_theta, **parameters},
    )
    frequencies, factor = ROPE_INIT_FUNCTIONS[config.rope_scaling](theirs, "cpu", seq_len=length)
    return frequencies, factor


THETAS = st.sampled_from([10.0, 500.0, 10_000.0, 500_000.0])
HEAD_DIMS = st.sampled_from([4, 8, 32, 64])
STRETCHES = st.floats(1.0, 32.0)
CONTEXTS = st.sampled_from([16, 64, 256, 8192])


@given(theta=THETAS, head_dim=HEAD_DIMS, factor=STRETCHES)
@settings(max_examples=10, deadline=None)
def test_linear_scaling(theta: float, head_dim: int, factor: float) -> None:
    config = rope_config(d_head=head_dim, rope_theta=theta, rope_scaling="linear", rope_factor=factor)
    expected, _ = reference(config, None, factor=factor)
    torch.testing.assert_close(inverse_frequencies(config), expected)


@given(theta=THETAS, head_dim=HEAD_DIMS, factor=STRETCHES, context=CONTEXTS, length=st.integers(1, 20_000))
@settings(max_examples=30, deadline=None)
def test_dynamic_scaling(theta: float, head_dim: int, factor: float, context: int, length: int) -> None:
    config = rope_config(
        d_head=head_dim,
        rope_theta=theta,
        rope_scaling="dynamic",
        rope_factor=factor,
        rope_original_context=context,
    )
    expected, _ = reference(config, length, factor=factor)
    torch.testing.assert_close(inverse_frequencies(config, length), expected, rtol=1e-5, atol=0)


@given(theta=THETAS, head_dim=HEAD_DIMS, factor=STRETCHES, context=CONTEXTS)
@settings(max_examples=20, deadline=None)
def test_llama3_scaling(theta: float, head_dim: int, factor: float, context: int) -> None:
    config = rope_config(
        d_head=head_dim,
        rope_theta=theta,
        rope_scaling="llama3",
        rope_factor=factor,
        rope_original_context=context,
        rope_low_rotations=1.5,
        rope_high_rotations=4.0,
    )
    expected, _ = reference(
        config,
        None,
        factor=factor,
        low_freq_factor=1.5,
        high_freq_factor=4.0,
        original_max_position_embeddings=context,
    )
    torch.testing.assert_close(inverse_frequencies(config), expected, rtol=1e-5, atol=1e-9)


@given(
    theta=THETAS,
    head_dim=HEAD_DIMS,
    factor=STRETCHES,
    context=CONTEXTS,
    rotations=st.sampled_from([(1.0, 32.0), (0.5, 8.0)]),
    attention_factor=st.sampled_from([0.0, 1.3]),
)
@settings(max_examples=40, deadline=None)
def test_yarn(
    theta: float,
    head_dim: int,
    factor: float,
    context: int,
    rotations: tuple[float, float],
    attention_factor: float,
) -> None:
    config = rope_config(
        d_head=head_dim,
        rope_theta=theta,
        rope_scaling="yarn",
        rope_factor=factor,
        rope_original_context=context,
        rope_low_rotations=rotations[0],
        rope_high_rotations=rotations[1],
        rope_attention_factor=attention_factor,
    )
    expected, score_factor = reference(
        config,
        None,
        factor=factor,
        beta_slow=rotations[0],
        beta_fast=rotations[1],
        attention_factor=attention_factor or None,
        original_max_position_embeddings=context,
    )
    torch.testing.assert_close(inverse_frequencies(config), expected, rtol=1e-5, atol=1e-9)
    cos, sin = Rotary(config)(torch.arange(5)[None])
    angles = torch.arange(5)[:, None] * expected
    torch.testing.assert_close(cos[0, 0], torch.cat((angles.cos(), angles.cos()), -1) * score_factor)
    torch.testing.assert_close(sin[0, 0], torch.cat((angles.sin(), angles.sin()), -1) * score_factor)


@pytest.mark.parametrize(
    ("scaling", "slots"),
    [
        ("yarn", {"rope_low_rotations": 0.0}),
        ("yarn", {"rope_theta": 1.0}),
        ("llama3", {"rope_low_rotations": 0.0}),
        ("llama3", {"rope_theta": 1.0}),
        ("linear", {"rope_factor": 1e6}),
        ("none", {"rope_theta": 1.0}),
    ],
)
def test_every_legal_scaling_has_frequencies(scaling: str, slots: dict[str, Any]) -> None:
    frequencies = inverse_frequencies(rope_config(rope_scaling=scaling, **{"rope_factor": 2.0, **slots}))
    assert torch.isfinite(frequencies).all()
    assert (frequencies > 0).all()


def test_dynamic_scaling_needs_heads_wider_than_two() -> None:
    """Its exponent is width / (width - 2)."""
    problems = ModelConfig.problems({"position": "rope", "rope_scaling": "dynamic", "d_model": 8, "n_head": 4})
    assert [(p.slot, "wider" in p.sentence) for p in problems] == [("rope_scaling", True)]
    assert not ModelConfig.problems({"position": "rope", "d_model": 8, "n_head": 4})


def test_dynamic_scaling_looks_at_the_longest_position() -> None:
    config = rope_config(rope_scaling="dynamic", rope_factor=2.0, rope_original_context=16, context_length=64)
    rotary = Rotary(config)
    for length in (5, 16, 17, 64):
        cos, _ = rotary(torch.arange(length)[None])
        angles = torch.arange(length)[:, None] * inverse_frequencies(config, length)
        torch.testing.assert_close(cos[0, 0, :, : config.head_dim // 2], angles.cos())


def test_rotation_takes_positions_of_each_row() -> None:
    config = rope_config(d_head=8)
    rotary, positions = Rotary(config), torch.tensor([[0, 1, 2], [5, 3, 9]])
    x = torch.randn(2, 4, 3, 8)
    together = rotate(x, *rotary(positions))
    for row in range(2):
        alone = rotate(x[row : row + 1], *rotary(positions[row : row + 1]))
        torch.testing.assert_close(together[row : row + 1], alone)


def test_alibi_slopes_are_those_of_the_paper() -> None:
    """Eight heads: 1/2, 1/4 … 1/256; sixteen: the same with their geometric means between; else two series."""

    def slopes(n_head: int) -> torch.Tensor:
        return torch.tensor(alibi_slopes(n_head))

    torch.testing.assert_close(slopes(8), 2.0 ** -torch.arange(1.0, 9.0))
    torch.testing.assert_close(slopes(16), 2.0 ** -(torch.arange(1.0, 17.0) / 2))
    torch.testing.assert_close(slopes(1), torch.tensor([2.0**-8]))
    torch.testing.assert_close(slopes(12), torch.cat((slopes(8), slopes(16)[:8:2])))
    torch.testing.assert_close(slopes(3), torch.cat((slopes(2), slopes(4)[:1])))


@pytest.mark.parametrize("n_head", [1, 3, 4])
def test_alibi_adds_the_negative_distance_times_the_slope(n_head: int) -> None:
    alibi = Alibi(ModelConfig(position="alibi", d_model=12, n_head=n_head))
    distance = torch.arange(5)[None, :] - torch.arange(2, 5)[:, None]
    bias = alibi(distance)
    assert bias.shape == (1, n_head, 3, 5)
    for head, slope in enumerate(alibi_slopes(n_head)):
        for t in range(3):
            for s in range(5):
                assert bias[0, head, t, s].item() == pytest.approx(-slope * abs(s - (t + 2)))


@given(
    n_bucket=st.integers(4, 64),
    extra=st.integers(1, 200),
    both_ways=st.booleans(),
)
@settings(max_examples=30, deadline=None)
def test_buckets_are_those_of_t5(n_bucket: int, extra: int, both_ways: bool) -> None:
    from transformers.models.t5.modeling_t5 import T5Attention

    max_distance = n_bucket // 2 + extra
    distance = torch.arange(-400, 401)
    ours = relative_bucket(distance, n_bucket, max_distance, both_ways=both_ways)
    theirs = T5Attention._relative_position_bucket(distance, both_ways, n_bucket, max_distance)  # noqa: SLF001
    assert torch.equal(ours, theirs)
    assert ours.min() >= 0
    assert ours.max() < n_bucket


@pytest.mark.parametrize("topology", ["decoder-only", "encoder-only"])
def test_a_relative_bias_is_looked_up_by_bucket(topology: str) -> None:
    config = ModelConfig(topology=topology, position="t5", n_head=2, d_model=8, n_bucket=8, max_distance=10)
    module = RelativeBias(config)
    torch.nn.init.normal_(module.weight)
    distance = torch.arange(20)[None, :] - torch.arange(20)[:, None]
    bias = module(distance)
    bucket = relative_bucket(distance, 8, 10, both_ways=topology == "encoder-only")
    for t, s in ((0, 0), (19, 0), (4, 3), (3, 4), (0, 19)):
        torch.testing.assert_close(bias[0, :, t, s], module.weight[bucket[t, s]])
    assert torch.equal(bias[0, :, 0, 1], bias[0, :, 0, 0]) is (topology == "decoder-only")


def fire_design(**slots: Any) -> ModelConfig:
    return ModelConfig(position="fire", vocab_size=50, context_length=32, n_layer=2, d_model=24, n_head=2, **slots)


def fire_bias(fire: Fire, i: int, j: int) -> torch.Tensor:
    """f(ψ(i − j) / ψ(max(L, i))) with ψ(x) = log(c x + 1), one pair at a time, as the paper defines it for j ≤ i."""
    c, threshold = math.exp(fire.log_c.item()), math.exp(fire.log_threshold.item())
    ratio = math.log(c * (i - j) + 1) / math.log(c * max(threshold, i) + 1)
    hidden = [max(0.0, a * ratio + b) for a, b in zip(fire.scale.tolist(), fire.shift.tolist(), strict=True)]
    return torch.stack([h * row for h, row in zip(hidden, fire.weight, strict=True)]).sum(dim=0)


@torch.no_grad()
@pytest.mark.parametrize("threshold", [0.5, 8.0, 100.0])
def test_fire_is_that_of_the_paper(threshold: float) -> None:
    torch.manual_seed(0)
    fire = Fire(fire_design())
    assert math.exp(fire.log_threshold.item()) == pytest.approx(32 / 4)
    torch.nn.init.normal_(fire.weight)
    fire.log_threshold.fill_(math.log(threshold))
    fire.log_c.fill_(math.log(0.3))
    positions = torch.arange(40)
    bias = fire(positions - positions[:, None], positions[None])
    assert bias.shape == (1, 2, 40, 40)
    for i in range(0, 40, 3):
        for j in range(0, i + 1, 2):
            torch.testing.assert_close(bias[0, :, i, j], fire_bias(fire, i, j), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(bias, bias.mT)  # an encoder's later keys count as earlier ones
    later = fire(positions[None, :] - positions[30:, None], positions[None, 30:])
    torch.testing.assert_close(later, bias[:, :, 30:])
    rows = fire(positions[:4] - positions[:4, None], torch.stack((positions[:4], positions[20:24])))
    torch.testing.assert_close(rows[1], bias[0, :, 20:24, 20:24])


@pytest.mark.parametrize("topology", ["decoder-only", "encoder-only"])
def test_fire_learns_and_reads_longer_texts(topology: str) -> None:
    """It learns to repeat the token three before; c, the threshold and the network all receive gradients."""
    torch.manual_seed(0)
    model = build_model(fire_design(topology=topology))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items() if "score_bias" in name}
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses, ids = [], torch.randint(0, 50, (8, 16))
    for _ in range(60):
        loss = torch.nn.functional.cross_entropy(model(ids)[:, 3:].flatten(0, 1), ids[:, :-3].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2
    assert all(not torch.equal(model.state_dict()[name], tensor) for name, tensor in before.items())
    assert torch.isfinite(model(torch.randint(0, 50, (1, 32)))).all()  # twice as long as any text so far


@torch.no_grad()
def test_fire_in_a_longer_context_computes_the_same_for_short_texts() -> None:
    """The threshold is learned in tokens, so a longer context does not move it."""
    model, ids = build_model(fire_design()).eval(), torch.randint(0, 50, (2, 32))
    longer = build_model(dataclasses.replace(model.config, context_length=128)).eval()
    longer.load_state_dict(model.state_dict())
    torch.testing.assert_close(longer(ids), model(ids))
    assert torch.isfinite(longer(torch.randint(0, 50, (1, 128)))).all()


@torch.no_grad()
def test_fire_with_a_cache_and_with_padding_is_the_same() -> None:
    """Beyond the threshold too, where a token's position counts: it is given, since padding shifts the row."""
    model, ids = build_model(fire_design()).eval(), torch.randint(0, 50, (2, 30))
    assert isinstance(model, Decoder)
    whole, cache = model(ids), KVCache(model.config.n_layer)
    parts = [model(part, cache=cache) for part in ids.split((9, 1, 1, 12, 7), dim=1)]
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, atol=1e-5, rtol=1e-4)
    mask = torch.ones(2, 32, dtype=torch.bool)
    mask[:, :2] = False
    positions = (torch.arange(32) - 2).clamp(min=0)
    padded = model(torch.nn.functional.pad(ids, (2, 0)), mask=mask, positions=positions)
    torch.testing.assert_close(padded[:, 2:], whole, atol=1e-5, rtol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("topology", ["decoder-only", "encoder-only"])
def test_layers_without_rotation_are_those_of_a_model_without_positions(topology: str) -> None:
    """Every n-th one, from the n-th on, as SmolLM3 has it; all others rotate as ever."""
    rope = ModelConfig(
        topology=topology, position="rope", vocab_size=50, context_length=16, n_layer=5, d_model=24, n_head=2
    )
    mixed = dataclasses.replace(rope, nope_interval=2)
    assert [mixed.rotates(layer) for layer in range(5)] == [True, False, True, False, True]
    assert [dataclasses.replace(mixed, position="alibi").rotates(layer) for layer in range(2)] == [False, False]
    ids, found = torch.randint(0, 50, (2, 12)), {}
    designs = {
        "rope": rope,
        "mixed": mixed,
        "beyond": dataclasses.replace(rope, nope_interval=6),
        "all": dataclasses.replace(rope, nope_interval=1),
        "none": dataclasses.replace(rope, position="none"),
    }
    for name, config in designs.items():
        torch.manual_seed(0)
        model = build_model(config).eval()
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
        found[name] = model(ids)
    assert torch.equal(found["beyond"], found["rope"])
    assert torch.equal(found["all"], found["none"])
    assert not torch.allclose(found["mixed"], found["rope"], rtol=0, atol=1e-3)
    assert not torch.allclose(found["mixed"], found["none"], rtol=0, atol=1e-3)


def test_a_part_of_the_pairs_rotates_as_in_the_paper() -> None:
    """p-RoPE: the highest frequencies are RoPE's own, all others 0; 1-RoPE is RoPE, 0-RoPE no rotation."""
    whole = ModelConfig(position="rope", d_model=64, n_head=2)
    plain = inverse_frequencies(whole)
    for fraction, n in ((1.0, 16), (0.75, 12), (0.5, 8), (0.25, 4), (0.0, 0)):
        config = dataclasses.replace(whole, rope_fraction=fraction)
        found = inverse_frequencies(config)
        assert torch.equal(found[:n], plain[:n])
        assert not found[n:].any()
        x = torch.randn(1, 2, 9, 32)
        turned = rotate(x, *Rotary(config)(torch.arange(9)[None]))
        kept = torch.cat((torch.arange(n, 16), torch.arange(16 + n, 32)))
        assert torch.equal(turned[..., kept], x[..., kept])
        assert not n or not torch.allclose(turned[..., 1:, 0], x[..., 1:, 0])
