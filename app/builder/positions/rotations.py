"""RoPE: queries and keys are turned by their position, pair by pair."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from app.builder.positions.scene import (
    MOST_COLUMNS,
    MOST_ROWS,
    UNIT_BAR,
    Ints,
    Scene,
    along,
    down,
    every_words,
    similarity_plot,
    token_words,
)
from app.kit.figures.pictures import Floats, HeatPicture, number, picks
from models.architecture import position_tables as tables
from models.architecture.rope import attention_factor, n_rotated_pairs
from models.settings.model_config import ModelConfig


def rotations(config: ModelConfig, length: int, *, angles: bool = False, scaled: bool = True) -> Scene:
    """RoPE's rotation of each pair; with scaling, the similarity is compared with that of the design without."""
    has_scaling = config.rope_scaling != "none"
    frequencies = tables.rope_frequencies(config, length, scaled=scaled)
    positions = picks(length, MOST_COLUMNS)
    pairs = picks(config.head_dim // 2, MOST_ROWS)
    turned = tables.rope_angles(positions, frequencies[pairs]).T
    picture = _angles(turned) if angles else np.cos(turned)
    half = config.head_dim // 2

    def describe(row: int, column: int) -> str:
        angle, pair = float(turned[row, column]), int(pairs[row])
        if pair >= n_rotated_pairs(config):
            return f"pair {pair} (numbers {pair} and {pair + half} of a head)\nnot turned at any position"
        period = 2 * math.pi / max(float(frequencies[pair]), 1e-30)
        return (
            f"position {positions[column]:,}, pair {pair} (numbers {pair} and {pair + half} of a head)\n"
            f"turned by {number(angle, 3)} rad = {number(angle / 2 / math.pi, 3)} turns; "
            f"cos {number(math.cos(angle), 3)}\none turn takes {token_words(period)}"
        )

    def similarity(is_scaled: bool) -> Callable[[Ints, int], Floats]:
        return lambda at, window: tables.rope_similarity(config, at, length, window, scaled=is_scaled)

    return Scene(
        words=_rotation_words(config, length),
        first=HeatPicture(
            title=("Angle of each pair" if angles else "cos of each pair's angle") + every_words(positions, "position"),
            values=picture,
            x=along("Position", length),
            y=down("Pair", pairs),
            colours="quantity" if angles else "diverging",
            low=-3.0 if angles else -1.0,
            high=2.0 if angles else 1.0,
            bar=_TURNS if angles else UNIT_BAR,
            describe=describe,
        ),
        second=similarity_plot(
            "Score of an equal key by distance",
            "Mean cos",
            length,
            *((similarity(True), similarity(False)) if has_scaling else (similarity(True),)),
            names=("stretched", "as without scaling") if has_scaling else ("",),
        ),
    )


_TURNS = ((2.0, "100"), (1.0, "10"), (0.0, "1 turn"), (-1.0, "0.1"), (-2.0, "0.01"), (-3.0, "0.001"))


def _angles(turned: Floats) -> Floats:
    """Radians -> the power of ten of the turns; none at all is as little as can be shown."""
    turns: Floats = np.log10(np.maximum(turned / np.float32(2 * math.pi), np.float32(1e-9)))
    return turns


def _rotation_words(config: ModelConfig, length: int) -> str:
    plain = (
        f"Nothing is added: each head's queries and keys are {config.head_dim // 2} pairs of numbers, each turned by "
        "an angle that grows with the position. A score then depends on the distance."
    )
    factor = f"{config.rope_factor:g}"
    original = f"{config.rope_original_context:,}"
    scaling = {
        "none": "",
        "linear": f" Linear scaling turns all pairs {factor} times slower.",
        "dynamic": f" Dynamic scaling slows the slow pairs for {length:,} tokens, beyond the original {original}."
        if length > config.rope_original_context
        else f" Dynamic scaling does nothing yet: {length:,} tokens fit the original context of {original}.",
        "llama3": f" Llama 3's scaling keeps fast pairs and turns slow ones up to {factor} times slower.",
        "yarn": f" YaRN keeps fast pairs, turns slow ones up to {factor} times slower, and multiplies scores by "
        f"{attention_factor(config) ** 2:.3g}.",
    }
    n = n_rotated_pairs(config)
    pairs = f" Only the {n} fastest pairs are turned (p-RoPE)." if config.rope_fraction != 1.0 else ""
    layers = f" {config.n_nope_layers} of {config.n_layer} layers turn nothing (NoPE)." if config.nope_interval else ""
    return plain + scaling[config.rope_scaling] + pairs + layers
