"""The numbers of the pictures are those of the model: position_tables against positions."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from terrarium.models.architecture import position_tables as tables
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
from terrarium.models.settings.model_config import ModelConfig

SCALINGS = ("none", "linear", "dynamic", "llama3", "yarn")


def rope(scaling: str, **slots: Any) -> ModelConfig:
    values = {"d_model": 64, "n_head": 2, "rope_factor": 4.0, "rope_original_context": 32, **slots}
    return ModelConfig(position="rope", rope_scaling=scaling, **values)


def assert_same_waves(ours: NDArray[np.float32], theirs: torch.Tensor, angles: NDArray[np.float32]) -> None:
    """Equal to 1e-6; far out, up to what the last bit of a float32 frequency makes there."""
    room = 1e-6 + np.abs(angles) * 2.0**-22
    assert (np.abs(ours - theirs.numpy()) <= room).all()
    near = np.abs(angles) < 2
    np.testing.assert_allclose(ours[near], theirs.numpy()[near], rtol=0, atol=1e-6)


@pytest.mark.parametrize("width", [1, 2, 5, 64])
def test_waves_are_the_models(width: int) -> None:
    positions = np.arange(300)
    dimensions = np.arange(width)
    ours = tables.sinusoidal_table(positions, dimensions, width)
    angles = positions[:, None] * (10_000.0 ** -(dimensions // 2 * 2 / width)).astype(np.float32)
    assert_same_waves(ours, sinusoidal(torch.arange(300), width), angles)
    picked = tables.sinusoidal_table(positions[7::9], dimensions[::2], width)
    np.testing.assert_array_equal(picked, ours[7::9, ::2])


@pytest.mark.parametrize("width", [2, 64])
def test_the_similarity_of_waves_is_their_dot_product_wherever_they_are(width: int) -> None:
    table = sinusoidal(torch.arange(80), width).double().numpy()
    expected = table @ table.T / (width / 2)
    ours = tables.sinusoidal_similarity(width, np.arange(80))
    for start in (0, 20, 40):
        np.testing.assert_allclose(ours[: 80 - start], expected[start, start:], atol=1e-5)
    np.testing.assert_allclose(ours, expected[0], atol=1e-6)


@given(
    scaling=st.sampled_from(SCALINGS),
    head_dim=st.sampled_from([4, 32, 128]),
    theta=st.sampled_from([10.0, 10_000.0, 500_000.0]),
    factor=st.floats(1.0, 32.0),
    length=st.integers(1, 4000),
    fraction=st.sampled_from([1.0, 0.75, 0.5, 0.0]),
)
@settings(max_examples=60, deadline=None)
def test_frequencies_are_the_models(
    scaling: str, head_dim: int, theta: float, factor: float, length: int, fraction: float
) -> None:
    config = rope(
        scaling,
        d_head=head_dim,
        rope_theta=theta,
        rope_factor=factor,
        rope_original_context=256,
        rope_fraction=fraction,
    )
    expected = inverse_frequencies(config, length).numpy()
    np.testing.assert_allclose(tables.rope_frequencies(config, length), expected, rtol=1e-6, atol=1e-12)
    unscaled = dataclasses.replace(config, rope_scaling="none")
    np.testing.assert_array_equal(
        tables.rope_frequencies(config, length, scaled=False), tables.rope_frequencies(unscaled)
    )


@pytest.mark.parametrize("scaling", SCALINGS)
def test_angles_are_the_models_rotation(scaling: str) -> None:
    config = rope(scaling, rope_attention_factor=1.0)
    positions = np.arange(200)
    cos, sin = Rotary(config)(torch.arange(200)[None])
    angles = tables.rope_angles(positions, tables.rope_frequencies(config, 200))
    half = config.head_dim // 2
    assert_same_waves(np.cos(angles), cos[0, 0, :, :half], angles)
    assert_same_waves(np.sin(angles), sin[0, 0, :, :half], angles)


@pytest.mark.parametrize("scaling", SCALINGS)
def test_similarity_is_the_score_of_an_equal_key(scaling: str) -> None:
    config = rope(scaling)
    x = torch.ones(1, 1, 60, config.head_dim)
    turned = rotate(x, *Rotary(config)(torch.arange(60)[None]))
    scores = (turned[0, 0] @ turned[0, 0].T / config.head_dim).numpy()
    ours = tables.rope_similarity(config, np.arange(60), 60)
    np.testing.assert_allclose(ours, scores[0], atol=1e-5)
    np.testing.assert_allclose(ours[:40], scores[20, 20:], atol=1e-5)  # only the distance matters


@pytest.mark.parametrize("window", [1, 2, 7, 64])
def test_a_window_gives_the_mean_over_its_distances(window: int) -> None:
    config = rope("yarn", rope_theta=1e9)
    each = tables.rope_similarity(config, np.arange(20 * window), 99)
    starts = np.arange(20) * window
    means = each.reshape(20, window).mean(axis=1)
    np.testing.assert_allclose(tables.rope_similarity(config, starts, 99, window), means, atol=1e-5)
    waves = tables.sinusoidal_similarity(64, np.arange(20 * window)).reshape(20, window).mean(axis=1)
    np.testing.assert_allclose(tables.sinusoidal_similarity(64, starts, window), waves, atol=1e-5)


@pytest.mark.parametrize("n_head", [1, 2, 6, 8, 12, 25])
def test_penalties_are_the_models(n_head: int) -> None:
    config = ModelConfig(position="alibi", n_head=n_head, d_model=n_head * 4)
    distance = torch.arange(-40, 41)
    expected = Alibi(config)(distance[None])[0, :, 0].numpy()
    np.testing.assert_allclose(tables.alibi_scores(n_head, distance.numpy()), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("topology", ["decoder-only", "encoder-only"])
@pytest.mark.parametrize(("n_bucket", "max_distance"), [(32, 128), (4, 8), (7, 20), (64, 1000), (33, 4096)])
def test_buckets_are_the_models(topology: str, n_bucket: int, max_distance: int) -> None:
    config = ModelConfig(topology=topology, position="t5", n_bucket=n_bucket, max_distance=max_distance)
    distance = torch.arange(-5000, 5001)
    expected = relative_bucket(distance, n_bucket, max_distance, both_ways=topology == "encoder-only")
    assert tables.t5_buckets(config, distance.numpy()).tolist() == expected.tolist()
    bias = RelativeBias(config)
    torch.nn.init.normal_(bias.weight)
    ours = bias.weight.detach().numpy()[tables.t5_buckets(config, distance.numpy())]
    np.testing.assert_allclose(ours.T, bias(distance[None])[0, :, 0].detach().numpy(), atol=1e-6)


@pytest.mark.parametrize("topology", ["decoder-only", "encoder-only"])
def test_biases_of_a_network_are_the_models(topology: str) -> None:
    config = ModelConfig(topology=topology, position="fire", context_length=40, n_head=3, d_model=12)
    torch.manual_seed(0)
    fire = Fire(config)
    torch.nn.init.normal_(fire.weight)
    learned = {f"score_bias.{name}": tensor.numpy() for name, tensor in fire.state_dict().items()}
    positions = torch.arange(30)
    distance = positions - positions[:, None]
    ours = tables.fire_biases(learned, positions[:, None].numpy(), distance.numpy())
    np.testing.assert_allclose(ours, fire(distance, positions[None])[0].detach().numpy(), atol=1e-5)


def test_similarity_of_a_table_is_the_mean_cosine_at_each_distance() -> None:
    table = np.random.default_rng(1).normal(size=(17, 5)).astype(np.float32)
    unit = table / np.linalg.norm(table, axis=1, keepdims=True)
    expected = [np.mean([unit[i] @ unit[i + d] for i in range(17 - d)]) for d in range(17)]
    np.testing.assert_allclose(tables.table_similarity(table), expected, atol=1e-6)
    assert np.isfinite(tables.table_similarity(np.zeros((3, 4), np.float32))).all()
