"""What all charts of runs share: axes with plain numbers, and a view that shows the whole run until it is moved."""

from __future__ import annotations

import math

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import Qt, Slot
from PySide6.QtGui import QFontMetrics, QResizeEvent

from app.run_history import smooth
from app.theme import SPACE, ThemeProvider


class NumberAxis(pg.AxisItem):  # type: ignore[misc]
    """An axis that writes plain numbers, 1,000 and 0.003, never 1e+03 or a bare «k», and no more than have room."""

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
        return [(spacing, values)]

    def tickStrings(self, values: list[float], scale: float, spacing: float) -> list[str]:
        if self.logMode:
            return [f"{10**value:.3g}" for value in values]
        digits = 0 if spacing >= 1 else math.ceil(-math.log10(spacing) - 1e-9)
        form = f",.{digits}f" if digits < 6 else ".1g"
        return ["" if value < 0 else format(value, form) if value else "0" for value in values]


def _log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten, and their doubles and halves where those are few; all as log10."""
    factors = (1, 2, 5) if high - low < 2.5 else (1,)
    ticks = (power + math.log10(factor) for power in range(math.floor(low), math.ceil(high)) for factor in factors)
    return [tick for tick in ticks if low <= tick <= high]


class Chart(pg.PlotWidget):  # type: ignore[misc]
    """A chart in the theme's style, without frame or menus. Double-click shows everything again.

    Args:
        margins: pixels that stay free at the left, top and right of what is shown.
    """

    def __init__(
        self, theme: ThemeProvider, *, x: str = "", y: str = "", margins: tuple[int, int, int] = (6, 6, 6)
    ) -> None:
        super().__init__(axisItems={"left": NumberAxis("left"), "bottom": NumberAxis("bottom")})
        self._theme, self._margins = theme, margins
        self._whole, self._follows, self._has_scales = ((0.0, 1.0), (0.0, 1.0)), True, True
        self.setMenuEnabled(False)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        plot = self.getPlotItem()
        self._has_label = bool(y)
        if x:
            plot.setLabel("bottom", x)
        if y:
            plot.setLabel("left", y)
        plot.disableAutoRange()
        plot.getViewBox().sigRangeChangedManually.connect(self._on_moved)
        self.restyle()
        theme.theme_changed.connect(self.restyle)

    @Slot()
    def restyle(self) -> None:
        """Take the theme's colours."""
        self._theme.style_plot(self.getPlotItem())
        # As wide as any number will be, so that nothing moves when the numbers grow.
        width = QFontMetrics(self._theme.font(0.9)).horizontalAdvance("88,888")
        self.getPlotItem().getAxis("left").setWidth(width + (2 * self._has_label + 1) * SPACE)
        self.show_scales(self._has_scales)

    def set_margins(self, left: int, top: int, right: int) -> None:
        """Keep other margins free."""
        self._margins = (left, top, right)
        self._fit()

    def show_range(self, x: tuple[float, float], y: tuple[float, float]) -> None:
        """Say what there is to see (in log mode, y is log10). It is shown, unless the user looks closer at a part."""
        self._whole = (x, y)
        self._fit()

    def show_whole(self) -> None:
        """Show everything again."""
        self._follows = True
        self._fit()

    def show_scales(self, shown: bool) -> None:
        """Draw the axes, or not, where there is nothing to measure yet; their room stays."""
        self._has_scales = shown
        for side in ("left", "bottom"):
            self.getPlotItem().getAxis(side).setOpacity(1.0 if shown else 0.0)

    def curve(self, *, smooth: bool = False) -> pg.PlotDataItem:
        """A line that stays fast with 100,000 points: never more of them than pixels.

        `smooth` draws fine edges, and leaves points out: for lines without noise, since with it that is slow and wrong.
        """
        line = pg.PlotDataItem(antialias=smooth, connect="finite", autoDownsampleFactor=1.0)
        line.setDownsampling(auto=True, method="subsample" if smooth else "peak")
        line.setClipToView(True)
        self.addItem(line)
        return line

    def mouseDoubleClickEvent(self, event: object) -> None:
        self.show_whole()

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        super().resizeEvent(event)
        if event is not None:  # pyqtgraph calls it without one while it is being made
            self._fit()

    @Slot()
    def _on_moved(self) -> None:
        self._follows = False

    def _fit(self) -> None:
        if not self._follows:
            return
        view = self.getPlotItem().getViewBox()
        (x0, x1), (y0, y1) = self._whole
        left, top, right = self._margins
        # Below the lowest value, so much that its number is written: pyqtgraph leaves out what would be cut.
        below = QFontMetrics(self._theme.font(0.9)).height() / 2 + 1
        per_x = (x1 - x0) / max(view.width() - left - right, 1.0)
        per_y = (y1 - y0) / max(view.height() - top - below, 1.0)
        self.getPlotItem().getAxis("bottom").end = x1
        across, up = (x0 - left * per_x, x1 + right * per_x), (y0 - below * per_y, y1 + top * per_y)
        view.setRange(xRange=across, yRange=up, padding=0)


def moving_average(values: NDArray[np.float64], amount: float) -> NDArray[np.float64]:
    """An exponential average over a share of the run: `amount` 0 is none, 1 a quarter, and short runs lag like long."""
    window = 1 + 0.25 * len(values) * amount**3
    return smooth(values, 1 - 1 / window)
