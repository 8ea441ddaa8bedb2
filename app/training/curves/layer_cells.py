"""Measurements of every layer as the cells of a picture that is as wide as the screen allows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Cells(NamedTuple):
    """`values` (L, columns) float64, NaN where nothing was measured; `n_mean`: how many measurements a column has."""

    values: Floats
    n_mean: float


def layer_cells(places: Floats, values: Floats, left: float, right: float, n_columns: int) -> Cells:
    """One column for each pixel between `left` and `right`.

    A measurement reaches half-way to the ones beside it. Where several share a column, it is their mean.

    Args:
        places: (n,) where was measured, rising.
        values: (n, L) what; not finite where nothing was.
    """
    n, edges = len(places), np.linspace(left, right, n_columns + 1)
    if not n:
        return Cells(np.full((values.shape[1], n_columns), np.nan), 1.0)
    borders = np.concatenate((places[:1] - _half(places, 0), (places[1:] + places[:-1]) / 2))
    middles = (edges[1:] + edges[:-1]) / 2
    nearest = np.searchsorted(borders, middles, side="right") - 1
    inside = (nearest >= 0) & (middles <= places[-1] + _half(places, -1))
    cells = np.where(inside[:, None], values[np.maximum(nearest, 0)], np.nan)
    starts = np.searchsorted(places, edges)
    n_seen = starts[-1] - starts[0]
    if n_seen <= n_columns:
        return Cells(cells.T, 1.0)
    known = np.isfinite(values)
    sums = np.concatenate((np.zeros((1, values.shape[1])), np.where(known, values, 0.0).cumsum(axis=0)))
    counts = np.concatenate((np.zeros((1, values.shape[1])), known.cumsum(axis=0)))
    total, count = sums[starts[1:]] - sums[starts[:-1]], counts[starts[1:]] - counts[starts[:-1]]
    means = np.divide(total, count, out=cells, where=count > 0)
    return Cells(means.T, n_seen / max(int(inside.sum()), 1))


def _half(places: Floats, end: int) -> float:
    """Half the way from the first (0) or last (-1) measurement to the next one."""
    if len(places) < 2:
        return 0.5
    return float(abs(places[end] - places[1 if end == 0 else -2])) / 2
