"""A gauge of the memory that training needs on a device: a bar, with a mark for the measured amount."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from terrarium.app.kit.theme import ThemeProvider
from terrarium.models.number_words import format_percent

_HEIGHT, _MARK = 8, 3  # pixels: the bar, and how far a mark stands out on both sides
_COLOURS = {"fits": "accent", "tight": "warning", "no": "danger", "unknown": "faint"}


class FitGauge(QWidget):
    """A bar filled to a fraction of its length, in the colour of a level of app.session.device_memory.Fit."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._share, self._level, self._measured = 0.0, "unknown", 0.0
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Memory taken")
        theme.theme_changed.connect(self.update)

    def set_shares(self, share: float, level: str, measured: float = 0.0) -> None:
        """Set the estimated and the measured (0: unknown) fraction of the memory; both may exceed 1."""
        self._share, self._level, self._measured = share, level, measured
        words = format_percent(share) + (f", measured {format_percent(measured)}" if measured else "")
        self.setAccessibleDescription(words)
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(200, _HEIGHT + 2 * _MARK)

    def minimumSizeHint(self) -> QSize:
        return QSize(80, _HEIGHT + 2 * _MARK)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colors = self._theme.theme
        track = QRectF(0, _MARK, self.width(), _HEIGHT)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colors.color("sunken"))
        painter.drawRoundedRect(track, _HEIGHT / 2, _HEIGHT / 2)
        if self._share > 0:
            track.setWidth(max(_HEIGHT, track.width() * min(self._share, 1.0)))
            painter.setBrush(colors.color(_COLOURS[self._level]))
            painter.drawRoundedRect(track, _HEIGHT / 2, _HEIGHT / 2)
        if self._measured > 0:
            x = min(self._measured, 1.0) * (self.width() - 3)
            painter.setBrush(colors.color("surface"))
            painter.drawRect(QRectF(x - 1, 0, 5, _HEIGHT + 2 * _MARK))
            painter.setBrush(colors.color("text"))
            painter.drawRect(QRectF(x, 0, 3, _HEIGHT + 2 * _MARK))
        painter.end()
