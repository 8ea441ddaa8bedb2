"""Positions as a table that is added to the tokens: waves, or what a trained run has learned."""

from __future__ import annotations

import math

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
    pairs_of,
    similarity_plot,
    token_words,
)
from app.kit.figures.pictures import Axis, Floats, HeatPicture, number, picks
from models.architecture import position_tables as tables
from models.settings.model_config import ModelConfig


def waves(config: ModelConfig, length: int, *, sorted_out: bool = False) -> Scene:
    """The sinusoidal table; `sorted_out`: all sines above all cosines, instead of in turn as the model has them."""
    width = config.d_model
    positions, dimensions = picks(length, MOST_COLUMNS), pairs_of(width)
    if sorted_out:
        dimensions = np.concatenate((dimensions[dimensions % 2 == 0], dimensions[dimensions % 2 == 1]))
    values = tables.sinusoidal_table(positions, dimensions, width).T

    def describe(row: int, column: int) -> str:
        wave = "sine" if dimensions[row] % 2 == 0 else "cosine"
        period = 2 * math.pi * 10_000.0 ** (dimensions[row] // 2 * 2 / width)
        return (
            f"position {positions[column]:,}, dimension {dimensions[row]:,}: {number(float(values[row, column]), 3)}\n"
            f"a {wave} that repeats every {token_words(period)}"
        )

    return Scene(
        words=f"A fixed table, added to the token embeddings: each position is a column of {width:,} numbers, from "
        "fast waves to slow ones, a sine and a cosine of each. How alike two positions are depends on their distance.",
        first=HeatPicture(
            title=f"The table{every_words(positions, 'position')}",
            values=values,
            x=along("Position", length),
            y=_sines_then_cosines(dimensions) if sorted_out else down("Dimension", dimensions),
            colours="diverging",
            low=-1.0,
            high=1.0,
            bar=UNIT_BAR,
            describe=describe,
        ),
        second=similarity_plot(
            "Similarity by distance",
            "Dot product",
            length,
            lambda at, window: tables.sinusoidal_similarity(width, at, window),
        ),
    )


def _sines_then_cosines(dimensions: Ints) -> Axis:
    rows = len(dimensions)
    first = int((dimensions % 2 == 0).sum())
    shown = {0, first // 2, first, (first + rows) // 2} - {rows}
    ticks = tuple((float(row), f"{dimensions[row]:,}") for row in sorted(shown))
    return Axis(title="Even | odd", low=rows - 0.5, high=-0.5, ticks=ticks)


def learned_table(weights: Floats, source: str) -> Scene:
    """A trained run's table, (context_length, d_model)."""
    length, width = weights.shape
    positions, dimensions = picks(length, MOST_COLUMNS), picks(width, MOST_ROWS)
    values = weights[positions][:, dimensions].T
    limit = max(float(np.percentile(np.abs(weights), 99)), 1e-6)
    similarity = tables.table_similarity(weights)

    def mean_similarity(at: Ints, window: int) -> Floats:
        means: Floats = similarity[at[:, None] + np.arange(window)].mean(axis=1, dtype=np.float32)
        return means

    def describe(row: int, column: int) -> str:
        value = number(float(values[row, column]), 4)
        return f"position {positions[column]:,}, dimension {dimensions[row]:,}: {value}"

    return Scene(
        words=f"{source}: each position's own {width:,} numbers, added to the token embeddings. Colours end at the "
        "99th percentile. Below, how alike two positions are, on average, by their distance.",
        first=HeatPicture(
            title=f"The learned table{every_words(positions, 'position')}",
            values=values,
            x=along("Position", length),
            y=down("Dimension", dimensions),
            colours="diverging",
            low=-limit,
            high=limit,
            bar=((limit, number(limit, 3)), (0.0, "0"), (-limit, number(-limit, 3))),
            describe=describe,
        ),
        second=similarity_plot("Similarity by distance", "Mean cosine", length, mean_similarity),
    )
