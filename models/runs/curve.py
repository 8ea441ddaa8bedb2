"""A run's curves as a table of points: each logged step, or in long runs those that show the shape. No torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

STEP_COLUMNS = ("step", "tokens", "elapsed_s")
_MEASURED = ("loss", "bits_per_byte", "lr", "grad_norm", "tokens_per_s", "memory_bytes", "peak_share")
TRAIN_COLUMNS = (*STEP_COLUMNS, *_MEASURED)
VAL_COLUMNS = (*STEP_COLUMNS, "loss", "bits_per_byte", "loss_error", "metric_value")
_AVERAGED = ("loss", "bits_per_byte", "grad_norm", "tokens_per_s")
_EXTREME = ("loss", "lr", "grad_norm", "tokens_per_s", "memory_bytes")
"""Columns whose minimum and maximum are retained."""
POINT_COLUMNS = (*TRAIN_COLUMNS, "rows", *(f"mean:{name}" for name in _AVERAGED))
"""The columns of a point: a logged row, exactly; the number of rows it stands for (itself and those since the previous
point); and the means over these rows."""

_AT, _MEANS = {name: i for i, name in enumerate(POINT_COLUMNS)}, slice(-len(_AVERAGED), None)
_OF_MEANS = [_AT[name] for name in _AVERAGED]

_MOST = 1 << 17
"""Maximum number of points in memory; a curve with more is thinned, except for its latest points."""
_LATEST = 1 << 12
"""The number of latest points that are not thinned."""
_BLOCKS = 1 << 10
"""The number of blocks that a curve is thinned to; their extremes are 10,000 points or fewer."""


class Table:
    """A growing table of numbers; a column is a float64 view of shape (rows,)."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = {name: i for i, name in enumerate(columns)}
        self._data = np.empty((len(columns), 256))
        self._n = 0

    def __len__(self) -> int:
        return self._n

    def append(self, row: Mapping[str, Any]) -> None:
        """Add a row; missing or null values become NaN."""
        values = [row.get(name) for name in self._columns]
        self.add([[math.nan if value is None else value] for value in values])

    def extend(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add rows, much faster than one by one; rows with a value that is not a number are skipped."""
        self.add(_numbers(rows, tuple(self._columns)))

    def add(self, values: Sequence[Sequence[float]] | Floats) -> None:
        """Add rows as an array of shape (columns, rows)."""
        n = len(values[0])
        self._reserve(n)
        self._data[:, self._n : self._n + n] = values
        self._n += n

    def _reserve(self, n: int) -> None:
        needed, capacity = self._n + n, self._data.shape[1]
        if needed > capacity:
            grown = np.empty((len(self._columns), max(needed, 2 * capacity)))
            grown[:, : self._n] = self._data[:, : self._n]
            self._data = grown

    def __getitem__(self, name: str) -> Floats:
        return self._data[self._columns[name], : self._n]


class TrainCurve(Table):
    """The training rows of a run as points (POINT_COLUMNS), not many more than `most`.

    Short runs have a point for each row. In longer ones a point stands for several rows, but is always a row of the
    log, and the minimum and maximum of every figure are included. `version` changes when earlier points change.
    """

    def __init__(self, most: float = _MOST) -> None:
        super().__init__(POINT_COLUMNS)
        self._most = most
        self.version = 0

    @property
    def is_whole(self) -> bool:
        """Whether there is a point for each row."""
        return not (self["rows"] > 1).any()

    def append(self, row: Mapping[str, Any]) -> None:
        values = [row.get(name) for name in TRAIN_COLUMNS]
        self.add_points(_points_of(np.array([[math.nan if value is None else value] for value in values], np.float64)))

    def extend(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self.add_points(points_of_rows(rows))

    def add_points(self, points: Floats) -> None:
        """Add points (POINT_COLUMNS, n) of later steps."""
        self.add(points)
        if self._n > self._most:
            end = self._n - _LATEST
            self._replace(0, end, thin_evenly(self._data[:, :end], _BLOCKS))

    def insert(self, points: Floats) -> None:
        """Replace the points in the range of steps of `points` by these, which show it in more detail."""
        if not points.shape[1]:
            return
        if self._n + points.shape[1] > self._most:  # many ranges were shown in detail
            self._replace(0, self._n, thin_evenly(self._data[:, : self._n], _BLOCKS))
        step = self["step"]
        first = int(np.searchsorted(step, points[_AT["step"], 0]))
        end = int(np.searchsorted(step, points[_AT["step"], -1], side="right"))
        if end < self._n:  # some of the rows that this point stood for now have points of their own
            rest = max(step[end] - points[_AT["step"], -1], 1.0)
            self["rows"][end] = min(self["rows"][end], rest)
        self._replace(first, end, points)

    def _replace(self, first: int, end: int, points: Floats) -> None:
        """Replace the points [first, end); arrays that were returned earlier keep the old ones."""
        self._data = np.concatenate((self._data[:, :first], points, self._data[:, end : self._n]), axis=1)
        self._n = self._data.shape[1]
        self.version += 1


def points_of_rows(rows: Sequence[Mapping[str, Any]]) -> Floats:
    """Convert training rows to points (POINT_COLUMNS, n); rows with a value that is not a number are left out."""
    return _points_of(_numbers(rows, TRAIN_COLUMNS))


def thin_evenly(points: Floats, blocks: int) -> Floats:
    """Thin points (POINT_COLUMNS, n) to the extremes of `blocks` blocks that stand for equally many rows."""
    ends = np.cumsum(points[_AT["rows"]])
    starts = np.searchsorted(ends, np.arange(blocks) * ends[-1] / blocks, side="right")
    return thin(points, np.unique(starts))


def thin_each(parts: Sequence[Floats]) -> list[Floats]:
    """Thin each of several arrays (POINT_COLUMNS, n) as one block, much faster than one by one."""
    if not parts or not all(part.shape[1] for part in parts):
        return [thin(part, np.zeros(1, np.int64)) for part in parts]
    ends = np.cumsum([part.shape[1] for part in parts])
    points = np.concatenate(parts, axis=1)
    rows = np.cumsum(points[_AT["rows"]])[ends - 1]
    thinned = thin(points, np.append(0, ends[:-1]))
    return np.split(thinned, np.searchsorted(np.cumsum(thinned[_AT["rows"]]), rows[:-1]) + 1, axis=1)


def thin(points: Floats, starts: NDArray[np.int64]) -> Floats:
    """Decimate points (POINT_COLUMNS, n), preserving the shape; each stands for itself and those dropped before it.

    Each block begins at one of `starts` and retains the minimum and maximum of each figure, the first point without a
    loss, and the last point.
    """
    n = points.shape[1]
    if not n:
        return points
    block = np.zeros(n, np.int64)
    block[starts[1:]] = 1
    block = np.cumsum(block)
    kept = np.zeros(n, np.bool_)
    kept[np.append(starts[1:], n) - 1] = True
    for name in _EXTREME:
        values = points[_AT[name]]
        for least in (np.where(np.isfinite(values), values, np.inf), np.where(np.isfinite(values), -values, np.inf)):
            extreme = np.minimum.reduceat(least, starts)[block]
            kept[_first_of_each(np.flatnonzero((least == extreme) & (least < np.inf)), block)] = True
    kept[_first_of_each(np.flatnonzero(~np.isfinite(points[_AT["loss"]])), block)] = True
    return _merged(points, np.flatnonzero(kept))


def _first_of_each(found: NDArray[np.int64], block: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the first of the indices `found` in each block."""
    of = block[found]
    return found[np.concatenate(([True], of[1:] != of[:-1]))] if len(found) else found


def _merged(points: Floats, kept: NDArray[np.int64]) -> Floats:
    """Merge the points between the indices `kept` into the next kept one: sum their rows and average their means.

    The last point must be kept.
    """
    begins = np.concatenate(([0], kept[:-1] + 1))
    rows, means = points[_AT["rows"]], points[_MEANS]
    weights = np.where(np.isfinite(means), rows, 0.0)
    sums = np.add.reduceat(np.where(np.isfinite(means), means, 0.0) * weights, begins, axis=1)
    counts = np.add.reduceat(weights, begins, axis=1)
    merged = points[:, kept]
    merged[_AT["rows"]] = np.add.reduceat(rows, begins)
    merged[_MEANS] = np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)
    return merged


def _points_of(values: Floats) -> Floats:
    """Convert rows (TRAIN_COLUMNS, n) to points."""
    return np.concatenate((values, np.ones((1, values.shape[1])), values[_OF_MEANS]))


def _numbers(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> Floats:
    """Convert rows to an array (columns, n), NaN for null; rows with a value that is not a number are left out."""
    if not rows:
        return np.empty((len(columns), 0))
    try:
        try:
            cells: list[Any] = list(map(itemgetter(*columns), rows))
        except KeyError:  # written by an older version
            cells = [[row.get(name) for name in columns] for row in rows]
        return np.array(cells, dtype=np.float64).T
    except (TypeError, ValueError, OverflowError):
        whole = []
        for row in rows:
            with suppress(TypeError, ValueError, OverflowError):
                whole.append(np.array([row.get(name) for name in columns], dtype=np.float64))
        return np.array(whole).reshape(-1, len(columns)).T
