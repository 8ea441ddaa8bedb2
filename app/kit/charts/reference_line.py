"""A dashed line across a chart at a value to compare with, and its name."""

from __future__ import annotations

import math

import pyqtgraph as pg
from PySide6.QtCore import Qt

from app.kit.charts.chart import Chart
from app.kit.theme import ThemeProvider


class ReferenceLine:
    """Shown once it has a value; the name stands above the line, or below where it would cover a curve there."""

    def __init__(self, chart: Chart, tip: str) -> None:
        self._line = pg.InfiniteLine(angle=0, movable=False)
        self.name = pg.TextItem(anchor=(1, 1))
        self.name.textItem.document().setDocumentMargin(1)
        self.value = math.nan
        self.name.setZValue(5)  # above the marks, which would strike it through
        for item in (self._line, self.name):
            chart.addItem(item, ignoreBounds=True)
        self.set_tip(tip)
        self.show(math.nan, "", log=False)

    def set_tip(self, tip: str) -> None:
        """Explain it where the pointer rests on it."""
        self._line.setToolTip(tip)
        self.name.setToolTip(tip)

    def show(self, value: float, words: str, *, log: bool) -> None:
        """Draw it at a value under a name, or not at all where that is NaN."""
        self.value = value
        shown = math.isfinite(value) and value > 0
        self._line.setVisible(shown)
        self.name.setVisible(shown)
        if shown:
            self._line.setValue(math.log10(value) if log else value)
            self.name.setText(words)

    def place_name(self, right: float, *, below: bool = False, fits: bool = True) -> None:
        """Let the name end at this x, above the line or below; leave it out where it does not fit."""
        self.name.setVisible(self._line.isVisible() and fits)
        self.name.setAnchor((1, 0 if below else 1))
        self.name.setPos(right, self._line.value())

    def restyle(self, theme: ThemeProvider) -> None:
        """Take the theme's colours."""
        self._line.setPen(theme.pen("faint", style=Qt.PenStyle.DashLine))
        self.name.setColor(theme.theme.muted)
        self.name.fill = pg.mkBrush(theme.theme.surface)
        self.name.setFont(theme.font(0.9))
