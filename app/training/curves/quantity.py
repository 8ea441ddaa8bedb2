"""The same loss in several units."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.session.run_history import Table

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Quantity:
    """What a loss is shown as: its name, unit and the form of a number, from a column of both tables of a history.

    `is_exponential`: it is e to the column.
    """

    name: str
    unit: str
    form: str
    column: str = "loss"
    is_exponential: bool = False

    @property
    def words(self) -> str:
        """The name with the unit, for a menu."""
        return f"{self.name} ({self.unit})" if self.unit else self.name

    def of(self, values: Floats) -> Floats:
        """The quantity where its column, or a mean of it, has these values (n,)."""
        if not self.is_exponential:
            return values
        with np.errstate(over="ignore"):
            return np.exp(values)

    def of_nats(self, nats: float, train: Table) -> float:
        """The quantity at a loss in nats per token; NaN where the run has no rate to convert it with."""
        if self.column == "loss":
            return float(self.of(np.array([nats]))[0])
        known = np.flatnonzero(np.isfinite(train[self.column]) & (train["loss"] > 0))
        return nats * float(train[self.column][known[-1]] / train["loss"][known[-1]]) if len(known) else math.nan

    def write(self, value: float) -> str:
        """A number, “–” where it is none."""
        if not math.isfinite(value):
            return "–"
        return f"{value:,.0f}" if self.is_exponential and value >= 100 else format(value, self.form)


LOSS = Quantity("Loss", "nats per token", ".3f")
PERPLEXITY = Quantity("Perplexity", "", ".2f", is_exponential=True)
BITS_PER_BYTE = Quantity("Bits per byte", "", ".3f", column="bits_per_byte")
QUANTITIES = (LOSS, PERPLEXITY, BITS_PER_BYTE)
