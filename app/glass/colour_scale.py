"""A legend of a colour scale: its name, and below it a colour bar with labels for the lowest and highest value."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QFontMetrics, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.plots.heat_map import as_image, colour_table

_LONG, _HIGH = 72, 9  # pixels


class ColourScale(QWidget):
    """A colour scale. colours: as in HeatPicture. name: the quantity that it shows. low, high: the end labels."""

    def __init__(self, theme: ThemeProvider, colours: str, name: str = "", low: str = "", high: str = "") -> None:
        super().__init__()
        self._theme, self._colours = theme, colours
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        theme.theme_changed.connect(self.updateGeometry)
        self.show_values(name, low, high)

    def show_values(self, name: str, low: str, high: str) -> None:
        """Set the name of the scale and the labels at its ends."""
        self.name, self._ends = name, (low, high)
        self.setAccessibleName(f"{name}: colours from {low} to {high}")
        self.updateGeometry()
        self.update()

    @property
    def ends(self) -> tuple[str, str]:
        """The labels at both ends."""
        return self._ends

    def sizeHint(self) -> QSize:
        metrics = QFontMetrics(self._theme.font(0.9))
        words = sum(metrics.horizontalAdvance(end) for end in self._ends)
        wide = max(words + _LONG + 2 * SPACE, metrics.horizontalAdvance(self.name) + 2)
        return QSize(wide, 2 * metrics.height())

    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter, metrics = QPainter(self), QFontMetrics(self._theme.font(0.9))
        low, high = self._ends
        line = QRectF(0, 0, self.width(), metrics.height())
        painter.setFont(self._theme.font(0.9))
        painter.setPen(self._theme.theme.color("muted"))
        painter.drawText(line, Qt.AlignmentFlag.AlignRight, self.name)
        line.translate(0, line.height())
        painter.drawText(line, Qt.AlignmentFlag.AlignRight, high)
        right = self.width() - metrics.horizontalAdvance(high) - SPACE * 0.75
        bar = QRectF(right - _LONG, line.center().y() - _HIGH / 2, _LONG, _HIGH)
        line.setRight(bar.left() - SPACE * 0.75)
        painter.drawText(line, Qt.AlignmentFlag.AlignRight, low)
        painter.drawImage(bar, as_image(colour_table(self._theme, self._colours)[None]))
        painter.setPen(self._theme.theme.color("border_strong"))
        painter.drawRect(bar.adjusted(0, 0, -1, -1))
