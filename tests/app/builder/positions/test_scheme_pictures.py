"""Pictures of positions hold the model's numbers, and their words are true of them."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from terrarium.app.builder.positions import biases, rotations, tables
from terrarium.app.builder.positions.scheme_pictures import MAX_COLUMNS, MAX_DISTANCES, MAX_ROWS, SchemePictures
from terrarium.app.plots.pictures import (
    Axis,
    HeatPicture,
    evenly_spaced,
    format_number,
    format_ticks,
    round_ticks,
)
from terrarium.app.plots.plot_spec import PlotSpec
from terrarium.models.architecture import position_tables as numbers
from terrarium.models.architecture.transformer import build_model
from terrarium.models.settings.model_config import ModelConfig

ROPE = ModelConfig(position="rope", d_model=64, n_head=2, context_length=1024)


def both(pictures: SchemePictures) -> tuple[HeatPicture, PlotSpec]:
    pictures = (pictures.first, pictures.second)
    (heat,) = (picture for picture in pictures if isinstance(picture, HeatPicture))
    (lines,) = (picture for picture in pictures if isinstance(picture, PlotSpec))
    return heat, lines


def test_waves_in_both_orders() -> None:
    config = ModelConfig(position="sinusoidal", d_model=8, n_head=2)
    heat, lines = both(tables.waves(config, 20))
    table = numbers.sinusoidal_table(np.arange(20), np.arange(8), 8)
    np.testing.assert_array_equal(heat.values, table.T)
    assert heat.describe(3, 5).startswith(f"position 5, dimension 3: {format_number(float(table[5, 3]), 3)}\na cosine")
    assert "period of 62.8 tokens" in heat.describe(2, 0)
    np.testing.assert_allclose(lines.series[0].y, table @ table[0] / 4, atol=1e-6)
    assert lines.describe(0) == "the same position: 1"
    in_order, _ = both(tables.waves(config, 20, sorted_out=True))
    np.testing.assert_array_equal(in_order.values, table.T[[0, 2, 4, 6, 1, 3, 5, 7]])
    assert "dimension 1:" in in_order.describe(4, 0)
    assert [words for _, words in in_order.y.ticks] == ["0", "4", "1", "5"]


def test_large_tables_are_picked_from_and_say_so() -> None:
    config = ModelConfig(position="sinusoidal", d_model=4096, n_head=32, context_length=8192)
    heat, lines = both(tables.waves(config, 8192))
    assert heat.values.shape == (MAX_ROWS, MAX_COLUMNS)
    assert "one position in 16" in heat.title
    assert heat.describe(MAX_ROWS - 1, MAX_COLUMNS - 1).startswith("position 8,191, dimension 4,095:")
    assert len(lines.places()) <= MAX_DISTANCES
    assert "means over 32" in lines.x_title
    assert lines.describe(1).startswith("32 to 63 tokens apart")


@pytest.mark.parametrize("scaling", ["none", "linear", "dynamic", "llama3", "yarn"])
def test_rotations_with_and_without_their_scaling(scaling: str) -> None:
    config = dataclasses.replace(ROPE, rope_scaling=scaling, rope_factor=4.0)
    heat, lines = both(rotations.rotations(config, 500))
    angles = numbers.rope_angles(np.arange(500), numbers.rope_frequencies(config, 500))
    np.testing.assert_allclose(heat.values, np.cos(angles).T, atol=1e-6)
    assert len(lines.series) == (1 if scaling == "none" else 2)
    np.testing.assert_array_equal(lines.series[0].y, numbers.rope_similarity(config, np.arange(500), 500))
    plain, _ = both(rotations.rotations(config, 500, scaled=False))
    unscaled, _ = both(rotations.rotations(ROPE, 500))
    np.testing.assert_array_equal(plain.values, unscaled.values)
    if scaling != "none":
        np.testing.assert_array_equal(lines.series[1].y, both(rotations.rotations(ROPE, 500))[1].series[0].y)
        assert lines.series[1].name in lines.describe(3)


def test_rotations_say_what_they_leave_alone() -> None:
    config = dataclasses.replace(ROPE, rope_fraction=0.5, nope_interval=2, n_layer=5)
    pictures = rotations.rotations(config, 64)
    heat, _ = both(pictures)
    assert "the 8 fastest pairs are rotated (p-RoPE). 2 of 5 layers do not rotate (NoPE)." in pictures.words
    np.testing.assert_array_equal(heat.values[8:], 1.0)
    assert "not rotated" in heat.describe(8, 3)
    assert "rotated by" in heat.describe(7, 3)
    assert "NoPE" not in rotations.rotations(ROPE, 64).words


def test_angles_are_read_in_turns() -> None:
    heat, _ = both(rotations.rotations(ROPE, 64, angles=True))
    np.testing.assert_allclose(10 ** heat.values[0, 1:], np.arange(1, 64) / (2 * np.pi), rtol=1e-5)
    assert "rotated by 10 rad = 1.592 turns" in heat.describe(0, 10)
    assert "(numbers 0 and 16 of a head)" in heat.describe(0, 10)
    assert "one turn takes 6.3 tokens" in heat.describe(0, 10)


def test_dynamic_scaling_says_when_it_does_nothing() -> None:
    config = dataclasses.replace(ROPE, rope_scaling="dynamic", rope_factor=4.0, rope_original_context=256)
    assert "has no effect yet" in rotations.rotations(config, 256).words
    assert "has no effect yet" not in rotations.rotations(config, 257).words


@pytest.mark.parametrize("topology", ["decoder-only", "encoder-only"])
def test_penalties_of_each_head_and_as_a_matrix(topology: str) -> None:
    config = ModelConfig(position="alibi", topology=topology, n_head=4, d_model=16)
    heat, lines = both(biases.penalties(config, 30, head=1))
    np.testing.assert_array_equal(
        np.stack([line.y for line in lines.series]), numbers.alibi_scores(4, np.arange(30))[[0, 2, 3, 1]]
    )
    assert lines.series[-1].name == "head 2"
    assert lines.describe(8) == "8 tokens apart: −0.50 in head 2\nits weight × 0.61"
    assert heat.values[9, 1] == pytest.approx(np.exp(-0.5))
    assert np.isnan(heat.values[1, 9]) == config.is_causal
    assert ("later token" in heat.describe(1, 9)) == config.is_causal


def test_buckets_are_stairs_and_a_matrix() -> None:
    config = ModelConfig(position="t5", n_head=4, d_model=16)
    heat, lines = both(biases.buckets(config, 256))
    np.testing.assert_array_equal(lines.series[0].y[::2], numbers.t5_buckets(config, -np.arange(161)))
    assert lines.series[0].y[1::2].tolist() == lines.series[0].y[:-1:2].tolist(), "steps"
    assert lines.describe(3) == "3 tokens back: bucket 3, its own"
    assert lines.describe(20) == "20 tokens back: bucket 17, for 19 to 20"
    assert lines.describe(140) == "140 tokens back: bucket 31, for 113 and farther"
    assert np.isnan(heat.values[0, 1])
    encoder = dataclasses.replace(config, topology="encoder-only")
    heat, lines = both(biases.buckets(encoder, 256))
    assert lines.places()[0] == -160
    assert lines.describe(160 + 3) == "3 tokens ahead: bucket 19, its own"
    assert not np.isnan(heat.values).any()


def test_learned_biases_are_the_weights_of_their_buckets() -> None:
    config = ModelConfig(position="t5", n_head=4, d_model=16)
    weights = np.random.default_rng(0).normal(size=(32, 4)).astype(np.float32)
    heat, lines = both(
        biases.bucket_biases(config, 64, {"score_bias.weight": weights}, head=2, source="Learned by “x”")
    )
    np.testing.assert_array_equal(lines.series[-1].y[:32:2], weights[:16, 2])
    assert heat.values[5, 2] == weights[3, 2]
    assert heat.high == -heat.low == max(np.abs(line.y).max() for line in lines.series)
    assert format_number(float(weights[3, 2]), 3) in lines.describe(3)


@pytest.mark.parametrize("topology", ["decoder-only", "encoder-only"])
def test_a_network_reads_distances_relative_to_the_text(topology: str) -> None:
    config = ModelConfig(topology=topology, position="fire", n_head=4, d_model=16, context_length=64)
    heat, lines = both(biases.relative_distances(config, 64))
    assert heat.values[63, 0] == pytest.approx(1.0)
    assert heat.values[40, 20] == pytest.approx(math.log(0.1 * 20 + 1) / math.log(0.1 * 40 + 1))
    assert heat.values[8, 4] == pytest.approx(math.log(0.1 * 4 + 1) / math.log(0.1 * 16 + 1))  # below the threshold
    assert np.isnan(heat.values[4, 8]) == config.is_causal
    assert config.is_causal or heat.values[4, 8] == heat.values[8, 4]
    assert lines.describe(0).startswith("the same position: 0" if config.is_causal else "32 tokens back")
    weights = build_model(config).state_dict()
    learned = {name: tensor.numpy() for name, tensor in weights.items() if name.startswith("score_bias.")}
    heat, lines = both(biases.network_biases(config, 64, learned, head=2, source="Learned by “x”"))
    assert len(lines.series) == 4
    assert lines.series[-1].y[0] == pytest.approx(heat.values[63, 63] if config.is_causal else heat.values[32, 0])
    assert "its weight ×" in lines.describe(5)


def test_a_learned_table_is_shown_as_it_is() -> None:
    weights = np.random.default_rng(0).normal(size=(40, 12)).astype(np.float32)
    pictures = tables.learned_table(weights, "Learned by “x” in 40 steps")
    heat, lines = both(pictures)
    assert pictures.words.startswith("Learned by “x” in 40 steps")
    np.testing.assert_array_equal(heat.values, weights.T)
    assert heat.high == -heat.low == pytest.approx(np.percentile(np.abs(weights), 99))
    assert lines.series[0].y[0] == pytest.approx(1.0)


def test_ticks_are_round_and_few() -> None:
    assert round_ticks(Axis(title="", low=-0.5, high=255.5), 6) == [0, 50, 100, 150, 200, 250]
    assert round_ticks(Axis(title="", low=7.5, high=-0.5), 9) == [0, 1, 2, 3, 4, 5, 6, 7]
    assert format_ticks([0, 0.5, 1.0]) == ["0", "0.5", "1.0"]
    assert format_ticks([-1000, 0]) == ["−1,000", "0"]
    assert format_number(-0.0001) == "0.00"
    assert evenly_spaced(3, 9).tolist() == [0, 1, 2]
    assert evenly_spaced(1000, 3).tolist() == [0, 499, 999]
