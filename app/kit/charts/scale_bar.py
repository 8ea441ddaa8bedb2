"""The colours of a chart's image and what they stand for, beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Slot
from PySide6.QtGui import QFontMetrics, QImage, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.kit.charts.chart import Chart
from app.kit.theme import SPACE, ThemeProvider

_BAR = 10


class ScaleBar(QWidget):
    """As high as the chart's inside.

    Args:
        colours: the map that the image is drawn with.
        marks: words by their value; where not all have room, the ends and `usual` do.
        usual: a value that stands out.
    """

    def __init__(
        self,
        theme: ThemeProvider,
        chart: Chart,
        colours: Callable[[], pg.ColorMap],
        levels: tuple[float, float],
        marks: Mapping[float, str],
        usual: float,
    ) -> None:
        super().__init__()
        self._theme, self._chart, self._colours = theme, chart, colours
        self._levels, self._marks, self._usual = levels, marks, usual
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Preferred)
        chart.getPlotItem().getViewBox().sigResized.connect(self._on_resized)
        theme.theme_changed.connect(self.updateGeometry)

    def sizeHint(self) -> QSize:
        metrics = QFontMetrics(self._theme.font(0.9))
        return QSize(
            _BAR + SPACE // 2 + max(metrics.horizontalAdvance(words) for words in self._marks.values()) + 2, 40
        )

    @Slot()
    def _on_resized(self) -> None:
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        inside = self._chart.getPlotItem().getViewBox().sceneBoundingRect()
        bar = QRectF(0, inside.top(), _BAR, inside.height())
        rgba = np.ascontiguousarray(self._colours().getLookupTable(nPts=256, alpha=True)[::-1])
        image = QImage(rgba.data, 1, 256, 4, QImage.Format.Format_RGBA8888)
        painter.drawImage(bar, image)
        metrics = QFontMetrics(self._theme.font(0.9))
        important = (*self._levels, self._usual)
        has_room = bar.height() > len(self._marks) * metrics.height()
        for value, words in self._marks.items():
            if has_room or value in important:
                self._draw_mark(painter, bar, value, words)
        painter.end()

    def _draw_mark(self, painter: QPainter, bar: QRectF, value: float, words: str) -> None:
        is_usual, colors = value == self._usual, self._theme.theme
        font = self._theme.font(0.9, bold=is_usual)
        metrics = QFontMetrics(font)
        low, high = self._levels
        y = bar.bottom() - (value - low) / (high - low) * bar.height()
        if is_usual:
            painter.setPen(colors.color("text"))
            painter.drawLine(QPointF(bar.left(), y), QPointF(bar.right() + SPACE // 4, y))
        painter.setPen(colors.color("text" if is_usual else "muted"))
        painter.setFont(font)
        middle = min(max(y, bar.top() + metrics.ascent() / 2), bar.bottom() - metrics.ascent() / 2)
        box = QRectF(_BAR + SPACE // 2, middle - metrics.height() / 2, self.width(), metrics.height())
        painter.drawText(box, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, words)
