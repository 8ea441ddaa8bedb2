"""A line that stays fast with 100,000 points: never more of them than pixels, and no peak is lost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyqtgraph as pg

from app.kit.charts.curve_points import Floats, thinned


class Curve(pg.PlotCurveItem):  # type: ignore[misc]
    """Draws what is in view of its points, whose x must not fall. What is not finite is a gap."""

    def __init__(self, *, smooth: bool = False) -> None:
        self._x, self._y = np.empty(0), np.empty(0)
        self._log = False
        self._drawn: tuple[float, float, int] | None = None
        super().__init__(antialias=smooth, connect="finite")

    def setData(self, x: Floats | None = None, y: Floats | None = None, **options: Any) -> None:
        """Draw other points, all of them (n,)."""
        if x is None or y is None:
            super().setData(**options)
            return
        self._x, self._y, self._drawn = x, y, None
        self._draw()

    def setLogMode(self, x: bool, y: bool) -> None:
        """Draw log10 of y; what is not positive is a gap."""
        if y != self._log:
            self._log, self._drawn = y, None
            self._draw()

    def viewRangeChanged(self) -> None:
        self._draw()

    def _draw(self) -> None:
        view = self.getViewBox()
        if view is None:
            return
        (left, right), width = view.viewRange()[0], max(int(view.width()), 1)
        if self._drawn == (left, right, width):
            return
        self._drawn = (left, right, width)
        x, y = thinned(self._x, self._y, left, right, width)
        if self._log:
            y = np.log10(y, out=np.full(len(y), np.nan), where=y > 0)
        if not np.isfinite(y).any():
            x, y = x[:0], y[:0]
        self.updateData(x, y)
