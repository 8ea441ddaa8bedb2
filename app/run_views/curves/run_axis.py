"""The x axis of a run's charts: steps, tokens or training time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from terrarium.models.runs.curve import Table

X_AXES = {"step": "Steps", "tokens": "Tokens", "elapsed_s": "Time"}
"""Columns that can be the x axis, and their labels."""


@dataclass(frozen=True)
class RunAxis:
    """An x axis: a column of X_AXES, its divisor, and its title with the unit."""

    column: str = "step"
    unit: float = 1.0
    title: str = "Steps"

    @classmethod
    def of(cls, column: str, train: Table) -> RunAxis:
        """Return the axis of a column, in a unit that suits the length of the run."""
        top = float(train[column][-1]) if len(train) else 0.0
        if column == "tokens":
            return cls(column, 1e6, "Tokens (millions)") if top >= 2e6 else cls(column, 1e3, "Tokens (thousands)")
        if column == "elapsed_s":
            if top >= 3 * 3600:
                return cls(column, 3600.0, "Training time (hours)")
            return cls(column, 60.0, "Training time (minutes)") if top >= 180 else cls(column, 1.0, "Training time (s)")
        return cls()

    def of_rows(self, table: Table) -> NDArray[np.float64]:
        """Return the x of the rows of a table, (n,)."""
        x: NDArray[np.float64] = table[self.column] / self.unit
        return x

    def of_steps(self, steps: Sequence[int], train: Table) -> NDArray[np.float64]:
        """Return the x of steps, (n,), interpolated between training rows."""
        if self.column == "step" or not len(train):
            return np.asarray(steps, np.float64)
        return np.interp(steps, train["step"], train[self.column]) / self.unit


def nearest_row(positions: NDArray[np.float64], x: float) -> int:
    """Return the row nearest to x; `positions` must be sorted and not empty."""
    i = min(int(np.searchsorted(positions, x)), len(positions) - 1)
    return i - 1 if i > 0 and x - positions[i - 1] < positions[i] - x else i
