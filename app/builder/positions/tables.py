"""Pictures of position tables that are added to embeddings: sinusoidal, or learned by a run."""

from __future__ import annotations

import math

import numpy as np

from terrarium.app.builder.positions.scheme_pictures import (
    MAX_COLUMNS,
    MAX_ROWS,
    UNIT_BAR,
    Ints,
    SchemePictures,
    format_period,
    format_stride,
    pairs_of,
    row_axis,
    similarity_plot,
    token_axis,
)
from terrarium.app.plots.pictures import Axis, Floats, HeatPicture, evenly_spaced, format_number
from terrarium.models.architecture import position_tables as tables
from terrarium.models.settings.model_config import ModelConfig


def waves(config: ModelConfig, length: int, *, sorted_out: bool = False) -> SchemePictures:
    """Return pictures of the sinusoidal table. sorted_out: all sines above all cosines, instead of interleaved."""
    width = config.d_model
    positions, dimensions = evenly_spaced(length, MAX_COLUMNS), pairs_of(width)
    if sorted_out:
        dimensions = np.concatenate((dimensions[dimensions % 2 == 0], dimensions[dimensions % 2 == 1]))
    values = tables.sinusoidal_table(positions, dimensions, width).T

    def describe(row: int, column: int) -> str:
        wave = "sine" if dimensions[row] % 2 == 0 else "cosine"
        period = 2 * math.pi * 10_000.0 ** (dimensions[row] // 2 * 2 / width)
        value = format_number(float(values[row, column]), 3)
        return (
            f"position {positions[column]:,}, dimension {dimensions[row]:,}: {value}\n"
            f"a {wave} with a period of {format_period(period)}"
        )

    return SchemePictures(
        words=f"A fixed table, added to the token embeddings: each position is a column of {width:,} numbers, from "
        "fast waves to slow ones, a sine and a cosine each. The similarity of two positions depends on their distance.",
        first=HeatPicture(
            title=f"The table{format_stride(positions, 'position')}",
            values=values,
            x=token_axis("Position", length),
            y=_sines_then_cosines(dimensions) if sorted_out else row_axis("Dimension", dimensions),
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


def learned_table(weights: Floats, source: str) -> SchemePictures:
    """Return pictures of a learned table, (context_length, d_model). source: describes the run."""
    length, width = weights.shape
    positions, dimensions = evenly_spaced(length, MAX_COLUMNS), evenly_spaced(width, MAX_ROWS)
    values = weights[positions][:, dimensions].T
    limit = max(float(np.percentile(np.abs(weights), 99)), 1e-6)
    similarity = tables.table_similarity(weights)

    def mean_similarity(at: Ints, window: int) -> Floats:
        means: Floats = similarity[at[:, None] + np.arange(window)].mean(axis=1, dtype=np.float32)
        return means

    def describe(row: int, column: int) -> str:
        value = format_number(float(values[row, column]), 4)
        return f"position {positions[column]:,}, dimension {dimensions[row]:,}: {value}"

    return SchemePictures(
        words=f"{source}: each position's own {width:,} numbers, added to the token embeddings. Colours end at the "
        "99th percentile. Below: the mean similarity of two positions, by distance.",
        first=HeatPicture(
            title=f"The learned table{format_stride(positions, 'position')}",
            values=values,
            x=token_axis("Position", length),
            y=row_axis("Dimension", dimensions),
            colours="diverging",
            low=-limit,
            high=limit,
            bar=((limit, format_number(limit, 3)), (0.0, "0"), (-limit, format_number(-limit, 3))),
            describe=describe,
        ),
        second=similarity_plot("Similarity by distance", "Mean cosine", length, mean_similarity),
    )
