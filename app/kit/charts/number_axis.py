"""An axis with plain numbers."""

from __future__ import annotations

import math

import numpy as np
import pyqtgraph as pg
from PySide6.QtGui import QFontMetrics

from app.kit.theme import SPACE

_DECADE = 0.8
"""Below this difference of log10, the steps between numbers are even: powers of ten would be too few."""


class NumberAxis(pg.AxisItem):  # type: ignore[misc]
    """An axis that writes plain numbers, 1,000 and 0.003, never 1e+03 or a bare “k”, and no more than have room."""

    def __init__(self, side: str) -> None:
        super().__init__(side)
        self.end = math.inf
        """What is beyond it gets no number: there is only room for words."""
        self._lies = side == "bottom"
        self.enableAutoSIPrefix(False)

    def tickValues(self, low: float, high: float, size: float) -> list[tuple[float | None, list[float]]]:
        if self.logMode:
            return [(None, _log_ticks(low, high))]
        levels: list[tuple[float | None, list[float]]] = super().tickValues(low, min(high, self.end), size)
        if not levels or high <= low:
            return levels
        spacing, values = levels[0]
        assert spacing is not None
        metrics = QFontMetrics(self.style["tickFont"] or self.font())
        words = self.tickStrings(values, 1.0, spacing)
        widest = max((metrics.horizontalAdvance(word) for word in words), default=0)
        room = widest + 2 * SPACE if self._lies else 1.3 * metrics.height()
        while len(values) > 2 and spacing / (high - low) * size < room:
            spacing *= 2
            values = [value for value in values if round(value / spacing * 2) % 2 == 0]
        if not self._lies and len(values) == 2 and spacing / (high - low) * size < metrics.height():
            values = values[1:]  # one over the other would be illegible; the upper one says more
        return [(spacing, values)]

    def tickStrings(self, values: list[float], scale: float, spacing: float) -> list[str]:
        if self.logMode:
            return [format(10**value, ",.0f" if value >= 2 else ".4g") for value in values]
        digits = 0 if spacing >= 1 else math.ceil(-math.log10(spacing) - 1e-9)
        form = f",.{digits}f" if digits < 6 else ".1g"
        return ["" if value < 0 else format(value, form) if value else "0" for value in values]


def _log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten, with their doubles and halves where those are few, or even steps within a decade; all as log10."""
    if high - low < _DECADE:
        step = _round_step((10**high - 10**low) / 5)
        evenly = np.arange(math.ceil(10**low / step), math.floor(10**high / step) + 1) * step
        return [float(tick) for tick in np.log10(evenly[evenly > 0])]
    factors = (1, 2, 5) if high - low < 2.5 else (1,)
    ticks = (power + math.log10(factor) for power in range(math.floor(low), math.ceil(high)) for factor in factors)
    return [tick for tick in ticks if low <= tick <= high]


def _round_step(least: float) -> float:
    """The first of … 0.1, 0.2, 0.5, 1, 2, 5, 10 … that is no less."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least * (1 - 1e-9))
