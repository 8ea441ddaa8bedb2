"""A legend of a colour scale: a strip from the lowest to the highest value, with a label at each end."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QFontMetrics, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.kit.figures.heat_map import as_image, colour_table
from app.kit.theme import SPACE, ThemeProvider

_LONG, _HIGH = 72, 9  # pixels


class ColourScale(QWidget):
    """A colour scale; `colours` as in HeatPicture."""

    def __init__(self, theme: ThemeProvider, colours: str, low: str = "", high: str = "") -> None:
        super().__init__()
        self._theme, self._colours = theme, colours
        self._ends = low, high
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        theme.theme_changed.connect(self.updateGeometry)
        self.show_ends(low, high)

    def show_ends(self, low: str, high: str) -> None:
        """Change the labels."""
        self._ends = low, high
        self.setAccessibleName(f"Colours from {low} to {high}")
        self.updateGeometry()
        self.update()

    @property
    def ends(self) -> tuple[str, str]:
        """The labels at both ends."""
        return self._ends

    def sizeHint(self) -> QSize:
        metrics = QFontMetrics(self._theme.font(0.9))
        words = sum(metrics.horizontalAdvance(end) for end in self._ends)
        return QSize(words + _LONG + 2 * SPACE, metrics.height())

    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter, metrics = QPainter(self), QFontMetrics(self._theme.font(0.9))
        low, high = self._ends
        painter.setFont(self._theme.font(0.9))
        painter.setPen(self._theme.theme.color("muted"))
        painter.drawText(QRectF(0, 0, self.width(), self.height()), Qt.AlignmentFlag.AlignVCenter, low)
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        painter.drawText(QRectF(0, 0, self.width(), self.height()), right, high)
        bar = QRectF(metrics.horizontalAdvance(low) + SPACE * 0.75, (self.height() - _HIGH) / 2, _LONG, _HIGH)
        painter.drawImage(bar, as_image(colour_table(self._theme, self._colours)[None]))
        painter.setPen(self._theme.theme.color("border_strong"))
        painter.drawRect(bar.adjusted(0, 0, -1, -1))
