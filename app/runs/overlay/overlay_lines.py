"""The lines of an overlay: smoothed, and thinned to the resolution of the chart. No Qt."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from terrarium.app.plots.curve_points import Floats, column_starts, in_view, moving_average, thinned
from terrarium.app.runs.overlay.overlay_curves import Curves, decimals

_MAX_POINTS = 4096
"""Maximum number of points of a smoothed line; rows of longer runs are averaged."""

_N_COMPARED = 64
"""Positions at which two lines are compared."""
_APART, _NEARLY_ALL = 0.006, 0.9
"""Two lines coincide if they are within this share of the y range (a pixel or two) at this share of positions."""


@dataclass(frozen=True, kw_only=True)
class ComparedQuantity:
    """A quantity to compare: a column of a kind of rows, with label, unit and number format."""

    kind: str
    column: str
    label: str
    unit: str
    form: str


COMPARED = {
    "loss": ComparedQuantity(
        kind="train", column="loss", label="Training loss", unit="nats per token or row", form=".3f"
    ),
    "val": ComparedQuantity(
        kind="val", column="loss", label="Validation loss", unit="nats per token or row", form=".3f"
    ),
    "bits": ComparedQuantity(
        kind="val", column="bits_per_byte", label="Bits per byte", unit="of validation text", form=".3f"
    ),
    "lr": ComparedQuantity(kind="train", column="lr", label="Learning rate", unit="", form=".3g"),
    "grad_norm": ComparedQuantity(kind="train", column="grad_norm", label="Gradient norm", unit="", form=".3f"),
    "speed": ComparedQuantity(kind="train", column="tokens_per_s", label="Speed", unit="tokens/s", form=",.0f"),
}


@dataclass(frozen=True, kw_only=True)
class OverlaySpec:
    """The parameters of an overlay's lines: a quantity over the column `axis` divided by `unit`.

    left, right: the visible x range, `n_columns` pixels wide. log: whether y is log10.
    """

    quantity: ComparedQuantity
    axis: str
    unit: float
    left: float
    right: float
    n_columns: int
    smoothing: float
    log: bool

    @property
    def span(self) -> tuple[float, float]:
        """The visible x range plus half of it on each side, so that panning does not uncover gaps."""
        beside = (self.right - self.left) / 2
        return self.left - beside, self.right + beside


@dataclass(frozen=True, eq=False)
class RunLine:
    """The lines of one run: raw, and smoothed (the same object without smoothing); `end` is the last point.

    On a logarithmic axis, y is log10.
    """

    raw: tuple[Floats, Floats]
    smooth: tuple[Floats, Floats]
    end: tuple[float, float]
    is_thinned: bool


class LineMaker:
    """Computes the lines of a spec, and caches smoothed lines; used by one thread at a time."""

    def __init__(self) -> None:
        self.smoothed: dict[str, tuple[Curves, object, tuple[Floats, Floats]]] = {}

    def lines(self, curves: Mapping[str, Curves], spec: OverlaySpec) -> dict[str, RunLine]:
        """Return the lines of all runs that have the quantity."""
        self.smoothed = {run_id: kept for run_id, kept in self.smoothed.items() if run_id in curves}
        made = {run_id: self._line(run_id, run, spec) for run_id, run in curves.items()}
        return {run_id: line for run_id, line in made.items() if line is not None}

    def _line(self, run_id: str, run: Curves, spec: OverlaySpec) -> RunLine | None:
        quantity = spec.quantity
        y = run.column(quantity.kind, quantity.column).astype(np.float64)
        known = np.flatnonzero(np.isfinite(y))
        if not len(known):
            return None
        x = run.column(quantity.kind, spec.axis).astype(np.float64) / spec.unit
        x_seen, y_seen = thinned(x, y, *spec.span, 2 * spec.n_columns)
        raw = x_seen, _scaled(y_seen, spec)
        if spec.smoothing == 0:
            last = int(known[-1])
            end = float(x[last]), float(_scaled(y[last:], spec)[0])
            return RunLine(raw, raw, end, len(x_seen) < len(x))
        x, y = self._smooth(run_id, run, spec)
        last = int(np.flatnonzero(np.isfinite(y))[-1])
        end = float(x[last]), float(_scaled(y[last:], spec)[0])
        x, y = _averaged(x, y, spec)
        return RunLine(raw, (x, _scaled(y, spec)), end, len(x_seen) < len(known))

    def _smooth(self, run_id: str, run: Curves, spec: OverlaySpec) -> tuple[Floats, Floats]:
        key = (spec.quantity, spec.axis, spec.unit, spec.smoothing)
        kept = self.smoothed.get(run_id)
        if kept is not None and kept[0] is run and kept[1] == key:
            return kept[2]
        x = run.column(spec.quantity.kind, spec.axis).astype(np.float64) / spec.unit
        y = run.column(spec.quantity.kind, spec.quantity.column).astype(np.float64)
        if spec.smoothing > 0 and len(y) > _MAX_POINTS:
            x, y = _means(x, y, np.arange(_MAX_POINTS) * len(y) // _MAX_POINTS)
        line = x, moving_average(y, spec.smoothing)
        self.smoothed[run_id] = run, key, line
        return line


def coincident_lines(lines: Mapping[str, RunLine]) -> dict[str, tuple[int, int]]:
    """Find groups of coinciding lines; return (index in its group, size of the group) by run id, only for these."""
    known = {run_id: np.isfinite(line.smooth[1]) for run_id, line in lines.items()}
    points = {run_id: (line.smooth[0][known[run_id]], line.smooth[1][known[run_id]]) for run_id, line in lines.items()}
    points = {run_id: (x, y) for run_id, (x, y) in points.items() if len(x) > 1}
    if len(points) < 2:
        return {}
    xs = np.linspace(min(x[0] for x, _ in points.values()), max(x[-1] for x, _ in points.values()), _N_COMPARED)
    heights = {run_id: np.interp(xs, x, y, left=np.nan, right=np.nan) for run_id, (x, y) in points.items()}
    apart = _APART * (max(y.max() for _, y in points.values()) - min(y.min() for _, y in points.values()))
    groups: list[list[str]] = []
    for run_id, height in heights.items():
        group = next((group for group in groups if _lie_together(heights[group[0]], height, apart)), None)
        if group is None:
            groups.append([run_id])
        else:
            group.append(run_id)
    return {run_id: (i, len(group)) for group in groups if len(group) > 1 for i, run_id in enumerate(group)}


def _lie_together(one: Floats, other: Floats, apart: float) -> bool:
    both = np.isfinite(one) & np.isfinite(other)
    near = np.abs(one[both] - other[both]) <= apart
    return 2 * int(both.sum()) > len(one) and float(near.mean()) >= _NEARLY_ALL


def aligned(
    runs: Mapping[str, Curves], names: Mapping[str, str], quantity: ComparedQuantity, axis: str
) -> dict[str, Floats]:
    """Return a quantity of runs as columns (n,) by name, after the column `axis`; NaN where a run has no value.

    Takes 0.15 s per 100,000 rows.
    """
    positions = {run_id: run.column(quantity.kind, axis).astype(np.float64) for run_id, run in runs.items()}
    along = functools.reduce(np.union1d, positions.values(), np.empty(0))
    columns = {axis: along}
    for run_id, run in runs.items():
        values = np.full(len(along), np.nan)
        values[np.searchsorted(along, positions[run_id])] = decimals(run.column(quantity.kind, quantity.column))
        columns[names[run_id] if names[run_id] not in columns else f"{names[run_id]} ({run_id})"] = values
    return columns


def _means(x: Floats, y: Floats, starts: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Return the means of x and y in the ranges that begin at `starts`, ignoring NaN in y."""
    known = np.isfinite(y)
    counts = np.add.reduceat(known.astype(np.float64), starts)
    sums = np.add.reduceat(np.where(known, y, 0.0), starts)
    means = np.divide(sums, counts, out=np.full(len(starts), np.nan), where=counts > 0)
    return np.add.reduceat(x, starts) / np.diff(np.append(starts, len(x))), means


def _averaged(x: Floats, y: Floats, spec: OverlaySpec) -> tuple[Floats, Floats]:
    """Average the points within the span, to at most one per two pixels: a thick line is then quick to draw."""
    x, y = in_view(x, y, *spec.span)
    return (x, y) if len(x) <= spec.n_columns else _means(x, y, column_starts(x, *spec.span, spec.n_columns))


def _scaled(y: Floats, spec: OverlaySpec) -> Floats:
    return np.log10(y, out=np.full(len(y), np.nan), where=y > 0) if spec.log else y
