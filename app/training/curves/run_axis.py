"""What runs along the charts of a run: its steps, the tokens it has seen, or the time it took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.session.run_history import Table

X_AXES = {"step": "Steps", "tokens": "Tokens", "elapsed_s": "Time"}
"""The columns that can run along a chart, and what they are called in a menu."""


@dataclass(frozen=True)
class RunAxis:
    """A column of PLACE_COLUMNS, what it is divided by, and its title with the unit."""

    column: str = "step"
    unit: float = 1.0
    title: str = "Steps"

    @classmethod
    def of(cls, column: str, train: Table) -> RunAxis:
        """One of X_AXES in a unit that suits the length of a run."""
        top = float(train[column][-1]) if len(train) else 0.0
        if column == "tokens":
            return cls(column, 1e6, "Tokens (millions)") if top >= 2e6 else cls(column, 1e3, "Tokens (thousands)")
        if column == "elapsed_s":
            if top >= 3 * 3600:
                return cls(column, 3600.0, "Training time (hours)")
            return cls(column, 60.0, "Training time (minutes)") if top >= 180 else cls(column, 1.0, "Training time (s)")
        return cls()

    def of_rows(self, table: Table) -> NDArray[np.float64]:
        """Where the rows of a table are (n,)."""
        return table[self.column] / self.unit

    def of_steps(self, steps: Sequence[int], train: Table) -> NDArray[np.float64]:
        """Where steps are (n,); those between two rows of the training are in between."""
        if self.column == "step" or not len(train):
            return np.asarray(steps, np.float64)
        return np.interp(steps, train["step"], train[self.column]) / self.unit


def nearest_row(places: NDArray[np.float64], x: float) -> int:
    """The row that is nearest to x, of at least one whose places do not fall."""
    i = min(int(np.searchsorted(places, x)), len(places) - 1)
    return i - 1 if i > 0 and x - places[i - 1] < places[i] - x else i
