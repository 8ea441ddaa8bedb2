"""What the colours of a difference mean."""

from __future__ import annotations

from PySide6.QtCore import QRect, QSize, Qt
from PySide6.QtGui import QFontMetrics, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from app.chat.side_by_side.difference_text import FULL_COLOUR, difference_colour
from app.kit.theme import SPACE, ThemeProvider

_STEPS, _WIDTH, _HEIGHT = 33, 132, 10
_LESS, _MORE = "less likely than for the other", "likelier"


class DifferenceLegend(QWidget):
    """A bar of the colours from “less likely” to “likelier”."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self.setToolTip(f"The strongest colours stand for {FULL_COLOUR:g} nats and more: 55 times the probability")
        self.setAccessibleName("Colours: less likely to likelier for the reply's own model than for the other")
        theme.theme_changed.connect(self.update)

    def sizeHint(self) -> QSize:
        metrics = QFontMetrics(self._theme.font())
        words = metrics.horizontalAdvance(_LESS) + metrics.horizontalAdvance(_MORE)
        return QSize(words + _WIDTH + 2 * SPACE, metrics.height() + 2)

    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setFont(self._theme.font())
        metrics, middle = painter.fontMetrics(), self.height() // 2
        left = metrics.horizontalAdvance(_LESS) + SPACE
        painter.setPen(self._theme.theme.color("muted"))
        centred = Qt.AlignmentFlag.AlignVCenter
        painter.drawText(QRect(0, 0, left, self.height()), centred, _LESS)
        painter.drawText(QRect(left + _WIDTH + SPACE, 0, self.width(), self.height()), centred, _MORE)
        for i in range(_STEPS):
            start, end = left + i * _WIDTH // _STEPS, left + (i + 1) * _WIDTH // _STEPS
            place = FULL_COLOUR * (2 * i / (_STEPS - 1) - 1)
            rect = QRect(start, middle - _HEIGHT // 2, end - start, _HEIGHT)
            painter.fillRect(rect, difference_colour(self._theme, place))
        painter.end()
