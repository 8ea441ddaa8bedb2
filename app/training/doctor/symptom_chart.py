"""The small curve beside a diagnosis: what it was read from, and where the trouble begins."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.kit.theme import ThemeProvider

_WIDTH, _HEIGHT = 176, 56
_WIDE_SPAN = 50.0
"""Values that differ by more than this factor are drawn on a logarithmic scale."""


class SymptomChart(QWidget):
    """A curve without axes, with a dashed line at one step."""

    def __init__(self, theme: ThemeProvider, tone: str) -> None:
        super().__init__()
        self._theme, self._tone = theme, tone
        self._steps: NDArray[np.float64] = np.zeros(0)
        self._values: NDArray[np.float64] = np.zeros(0)
        self._mark = 0
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        theme.theme_changed.connect(self.update)

    def sizeHint(self) -> QSize:
        return QSize(_WIDTH, _HEIGHT)

    def set_curve(self, name: str, steps: NDArray[np.float64], values: NDArray[np.float64], mark: int) -> None:
        """Draw finite `values` over `steps`, both (N), and mark the step `mark`."""
        known = np.isfinite(values)
        self._steps, self._values = _thinned(steps[known], values[known])
        self._mark = mark
        scale = ""
        if len(self._values) and self._values.min() > 0 and self._values.max() > _WIDE_SPAN * self._values.min():
            self._values, scale = np.log(self._values), ", on a logarithmic scale"
        self.setToolTip(f"{name}{scale}; the dashed line is step {mark:,}")
        self.setAccessibleName(f"{name} over the steps")
        self.setVisible(len(self._values) > 1)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        if len(self._values) < 2:
            return
        colors = self._theme.theme
        box = QRectF(self.rect()).adjusted(2, 4, -2, -4)
        first, last = float(self._steps[0]), float(self._steps[-1])
        low, high = float(self._values.min()), float(self._values.max())
        xs = box.left() + (self._steps - first) / max(last - first, 1) * box.width()
        ys = box.bottom() - (self._values - low) / ((high - low) or 1.0) * box.height()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        place = box.left() + min(max((self._mark - first) / max(last - first, 1), 0.0), 1.0) * box.width()
        painter.setPen(QPen(colors.color(self._tone), 1, Qt.PenStyle.DashLine))
        painter.drawLine(QPointF(place, 0), QPointF(place, self.height()))
        painter.setPen(QPen(colors.color("text"), 1.4))
        painter.drawPolyline(QPolygonF([QPointF(x, y) for x, y in zip(xs.tolist(), ys.tolist(), strict=True)]))
        painter.end()


def _thinned(
    steps: NDArray[np.float64], values: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """At most as many points as there are pixels, each the middle one of its neighbours: single spikes are noise."""
    n = -(-len(values) // (_WIDTH // 2))
    if n <= 1:
        return steps, values
    rows = len(values) // n
    blocks = values[len(values) - rows * n :].reshape(rows, n)
    return steps[len(values) - rows * n :].reshape(rows, n)[:, -1], np.median(blocks, axis=1)
