"""Pictures of RoPE: the rotation of each pair of query and key numbers by position."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from terrarium.app.builder.positions.scheme_pictures import (
    MAX_COLUMNS,
    MAX_ROWS,
    UNIT_BAR,
    Ints,
    SchemePictures,
    format_period,
    format_stride,
    row_axis,
    similarity_plot,
    token_axis,
)
from terrarium.app.plots.pictures import Floats, HeatPicture, evenly_spaced, format_number
from terrarium.models.architecture import position_tables as tables
from terrarium.models.architecture.rope import attention_factor, n_rotated_pairs
from terrarium.models.settings.model_config import ModelConfig


def rotations(config: ModelConfig, length: int, *, angles: bool = False, scaled: bool = True) -> SchemePictures:
    """Return pictures of RoPE: the rotation of each pair, and the score of an identical key by distance.

    angles: show angles instead of their cosines. scaled: apply the design's RoPE scaling to the rotation. A design with
    scaling has both scores, scaled and unscaled.
    """
    has_scaling = config.rope_scaling != "none"
    frequencies = tables.rope_frequencies(config, length, scaled=scaled)
    positions = evenly_spaced(length, MAX_COLUMNS)
    pairs = evenly_spaced(config.head_dim // 2, MAX_ROWS)
    turned = tables.rope_angles(positions, frequencies[pairs]).T
    picture = _angles(turned) if angles else np.cos(turned)
    half = config.head_dim // 2

    def describe(row: int, column: int) -> str:
        angle, pair = float(turned[row, column]), int(pairs[row])
        if pair >= n_rotated_pairs(config):
            return f"pair {pair} (numbers {pair} and {pair + half} of a head)\nnot rotated at any position"
        period = 2 * math.pi / max(float(frequencies[pair]), 1e-30)
        return (
            f"position {positions[column]:,}, pair {pair} (numbers {pair} and {pair + half} of a head)\n"
            f"rotated by {format_number(angle, 3)} rad = {format_number(angle / 2 / math.pi, 3)} turns; "
            f"cos {format_number(math.cos(angle), 3)}\none turn takes {format_period(period)}"
        )

    def similarity(is_scaled: bool) -> Callable[[Ints, int], Floats]:
        return lambda at, window: tables.rope_similarity(config, at, length, window, scaled=is_scaled)

    return SchemePictures(
        words=_describe_rotation(config, length),
        first=HeatPicture(
            title=("Angle of each pair" if angles else "cos of each pair's angle")
            + format_stride(positions, "position"),
            values=picture,
            x=token_axis("Position", length),
            y=row_axis("Pair", pairs),
            colours="quantity" if angles else "diverging",
            low=-3.0 if angles else -1.0,
            high=2.0 if angles else 1.0,
            bar=_TURNS if angles else UNIT_BAR,
            describe=describe,
        ),
        second=similarity_plot(
            "Score of an identical key by distance",
            "Mean cos",
            length,
            *((similarity(True), similarity(False)) if has_scaling else (similarity(True),)),
            names=("scaled", "unscaled") if has_scaling else ("",),
        ),
    )


_TURNS = ((2.0, "100"), (1.0, "10"), (0.0, "1 turn"), (-1.0, "0.1"), (-2.0, "0.01"), (-3.0, "0.001"))


def _angles(turned: Floats) -> Floats:
    """Convert radians to log10 of the number of turns, at least −9."""
    turns: Floats = np.log10(np.maximum(turned / np.float32(2 * math.pi), np.float32(1e-9)))
    return turns


def _describe_rotation(config: ModelConfig, length: int) -> str:
    plain = (
        f"Nothing is added: each head's queries and keys are {config.head_dim // 2} pairs of numbers, each rotated by "
        "an angle that grows with the position. Scores then depend on the distance."
    )
    factor = f"{config.rope_factor:g}"
    original = f"{config.rope_original_context:,}"
    scaling = {
        "none": "",
        "linear": f" Linear scaling rotates all pairs {factor} times slower.",
        "dynamic": f" Dynamic scaling slows the slow pairs for {length:,} tokens, beyond the original {original}."
        if length > config.rope_original_context
        else f" Dynamic scaling has no effect yet: {length:,} tokens fit the original context of {original}.",
        "llama3": f" Llama 3's scaling keeps fast pairs and rotates slow ones up to {factor} times slower.",
        "yarn": f" YaRN keeps fast pairs, rotates slow ones up to {factor} times slower, and multiplies scores by "
        f"{attention_factor(config) ** 2:.3g}.",
    }
    n = n_rotated_pairs(config)
    pairs = f" Only the {n} fastest pairs are rotated (p-RoPE)." if config.rope_fraction != 1.0 else ""
    layers = f" {config.n_nope_layers} of {config.n_layer} layers do not rotate (NoPE)." if config.nope_interval else ""
    return plain + scaling[config.rope_scaling] + pairs + layers
