"""A chart of the compression of BPE by vocabulary size."""

from __future__ import annotations

from collections.abc import Sequence

import pyqtgraph as pg
from PySide6.QtCore import Slot
from PySide6.QtWidgets import QVBoxLayout, QWidget

from terrarium.app.kit.basics import label
from terrarium.app.kit.plots.chart import Chart
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.models.events import VocabularyGrowth
from terrarium.models.number_words import format_size


class GrowthChart(QWidget):
    """Bytes per token by vocabulary size, with a caption; or a hint while there is no data."""

    def __init__(self, theme: ThemeProvider, hint: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme, self._hint = theme, hint
        self._points: tuple[VocabularyGrowth, ...] = ()
        self._chart: Chart | None = None  # created lazily: it takes longer than the rest of the page
        self._dots = pg.PlotDataItem(symbol="o", symbolSize=6)
        self._words = label("", "caption", wrap=True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(SPACE)
        layout.addWidget(label("Compression by size", "subheading"))
        layout.addWidget(self._words)
        layout.addStretch(1)
        theme.theme_changed.connect(self._restyle)
        self._restyle()
        self.set_points(())

    @property
    def points(self) -> tuple[VocabularyGrowth, ...]:
        """The points on screen."""
        return self._points

    @property
    def words(self) -> str:
        """The caption."""
        return self._words.text()

    def set_points(self, points: Sequence[VocabularyGrowth]) -> None:
        """Replace the points, in order of size."""
        self._points = tuple(points)
        if self._chart is not None:
            self._chart.setVisible(bool(points))
        x = [point.vocab_size for point in points]
        y = [point.bytes_per_token for point in points]
        self._dots.setData(x, y)
        if not points:
            self._words.setText(self._hint)
            return
        if self._chart is None:
            self._chart = self._make_chart()
        self._chart.show_range((x[0], max(x[-1], x[0] + 1)), (0.0, max(y)))
        self._words.setText(
            f"Measured on the first {format_size(points[0].sample_bytes)} of the text, by replaying the first merges, "
            f"as smaller vocabularies would. {x[-1]:,} tokens: {y[-1]:.2f} bytes per token."
        )

    def _make_chart(self) -> Chart:
        chart = Chart(self._theme, x="Vocabulary (tokens)", y="Bytes per token", margins=(8, 12, 16))
        chart.setAccessibleName("Compression by vocabulary size")
        chart.addItem(self._dots)
        layout = self.layout()
        assert isinstance(layout, QVBoxLayout)
        layout.insertWidget(1, chart, 1000)
        return chart

    def add_point(self, point: VocabularyGrowth) -> None:
        """Add a point."""
        self.set_points((*self._points, point))

    @Slot()
    def _restyle(self) -> None:
        accent = self._theme.theme.color("accent")
        self._dots.setPen(pg.mkPen(accent, width=1))
        self._dots.setSymbolBrush(accent)
        self._dots.setSymbolPen(accent)
