"""Dashed lines at reference values of a chart, with their names."""

from __future__ import annotations

import math

import pyqtgraph as pg
from PySide6.QtCore import Qt
from PySide6.QtGui import QFontMetrics

from terrarium.app.kit.basics import plain_tip
from terrarium.app.kit.plots.chart import Chart
from terrarium.app.kit.theme import ThemeProvider
from terrarium.models.evaluation.text_verdict import GZIP, TRIGRAM, short_table_words
from terrarium.models.events import TextCompared

_GAP, _START = 6, 14
"""Pixels between the label and the right edge, and between the label and the axis at the left."""


class ReferenceLine:
    """A labelled dashed line at a reference value, hidden while there is none.

    The label is above the line, or below it if it would cover a curve.
    """

    def __init__(self, chart: Chart, tip: str) -> None:
        self._line = pg.InfiniteLine(angle=0, movable=False)
        self.name = pg.TextItem(anchor=(1, 1))
        self.name.textItem.document().setDocumentMargin(1)
        self.value = math.nan
        self.name.setZValue(-0.5)  # below the curves, so that it hides none
        self._line.setZValue(-1)  # below the names of the curves
        self._view, self._words = chart.getPlotItem().getViewBox(), ""
        for item in (self._line, self.name):
            chart.addItem(item)
        self.set_tip(tip)
        self.show(math.nan, "", log=False)

    def set_tip(self, tip: str) -> None:
        """Set the tooltip of line and label."""
        self._tip = tip
        self._line.setToolTip(plain_tip(tip))
        self.name.setToolTip(plain_tip(tip))

    def show(self, value: float, words: str, *, log: bool) -> None:
        """Show the line at a value, with a label; hide it unless the value is finite and positive."""
        self.value, self._words = value, words
        shown = math.isfinite(value) and value > 0
        self._line.setVisible(shown)
        self.name.setVisible(shown)
        if shown:
            self._line.setValue(math.log10(value) if log else value)
            self.name.setText(words)

    def place_name(self, right: float, *, below: bool = False, fits: bool = True, at_left: bool = False) -> None:
        """Place the label above or `below` the line, and elide it if it is wider than the view.

        Args:
            right: the x where the label ends. A label too long for that, or `at_left`, begins at the left edge.
            fits: whether there is room; the label is hidden otherwise.
        """
        self.name.setVisible(self._line.isVisible() and fits)
        view = self._view
        left, per_pixel = view.viewRange()[0][0], view.viewPixelSize()[0]
        metrics = QFontMetrics(self.name.textItem.font())
        shown = metrics.elidedText(self._words, Qt.TextElideMode.ElideRight, int(view.width()) - _GAP - _START)
        self.name.setText(shown)
        self.name.setToolTip(plain_tip(self._tip if shown == self._words else f"{self._words}\n{self._tip}"))
        left += _START * per_pixel
        starts = at_left or self.name.boundingRect().width() * per_pixel > right - left
        self.name.setAnchor((0 if starts else 1, 0 if below else 1))
        self.name.setPos(left if starts else right, self._line.value())

    @property
    def axis_value(self) -> float:
        """The position on the y axis, which may be logarithmic."""
        return float(self._line.value())

    def restyle(self, theme: ThemeProvider) -> None:
        """Take the theme's colours."""
        self._line.setPen(theme.pen("faint", style=Qt.PenStyle.DashLine))
        self.name.setColor(theme.theme.muted)
        self.name.fill = pg.mkBrush(theme.theme.surface)
        self.name.setFont(theme.font(0.9))


class TableLines:
    """Lines at the bits per byte of a 3-gram model, of gzip and of the best n-gram table."""

    def __init__(self, chart: Chart) -> None:
        self.lines = tuple(ReferenceLine(chart, "") for _ in range(3))

    def show(self, compared: TextCompared | None, *, log: bool) -> None:
        """Show a comparison; None hides all lines."""
        if compared is None:
            for line in self.lines:
                line.show(math.nan, "", log=False)
            return
        known = (
            (compared.trigram, TRIGRAM),
            (compared.gzip, GZIP),
            (compared.table, short_table_words(compared.table_order)),
        )
        for line, (bits, words) in zip(self.lines, known, strict=True):
            line.show(bits, f"{words}: {bits:.2f}", log=log)
            line.set_tip("Bits per byte of the same held-out text, by what has read the rest of it")

    def place_names(self, right: float, low: float, line_height: float) -> None:
        """Place the labels at the left, as curves begin high: each above its line, or below if another label is there.

        low: the lowest visible y.
        """
        taken = math.inf
        for line in sorted((line for line in self.lines if math.isfinite(line.value)), key=lambda line: -line.value):
            value = line.axis_value
            bottom = value if value + line_height <= taken else value - line_height
            line.place_name(right, below=bottom < value, fits=bottom >= low, at_left=True)
            taken = bottom

    def restyle(self, theme: ThemeProvider) -> None:
        """Take the theme's colours."""
        for line in self.lines:
            line.restyle(theme)
