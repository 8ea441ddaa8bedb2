"""A bar chart over an ordered axis."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF
from PySide6.QtGui import QPainter, QPaintEvent

from terrarium.app.kit.plots.figure import Plot
from terrarium.app.kit.plots.pictures import BarPicture
from terrarium.app.kit.theme import SPACE


class BarPlot(Plot[BarPicture]):
    """Shows a BarPicture; the pointer or the arrow keys read a bar."""

    def _room(self) -> QRectF:
        room = super()._room()
        room.setRight(self.width() - 1.5 * SPACE)  # there is no colour bar
        return room

    def _shape(self) -> tuple[int, int]:
        return (len(self._picture.values), 1) if self._picture is not None else (0, 0)

    def spot_at(self, point: QPointF) -> tuple[int, int] | None:
        room = self._room()
        if self._picture is None or not room.contains(point):
            return None
        axis = self._picture.x
        i = round(axis.low + (point.x() - room.left()) / room.width() * (axis.high - axis.low)) - 1
        return min(max(i, 0), len(self._picture.values) - 1), 0

    def _words(self, spot: tuple[int, int]) -> str:
        assert self._picture is not None
        return self._picture.describe(spot[0])

    def bar_rect(self, i: int) -> QRectF:
        """Return the rectangle of bar `i`."""
        assert self._picture is not None
        room, axis = self._room(), self._picture.x
        step = room.width() / (axis.high - axis.low)
        height = float(self._picture.values[i]) / self._picture.y.high * room.height()
        left = room.left() + (i + 1 - axis.low - 0.4) * step
        return QRectF(left, room.bottom() - height, 0.8 * step, height)

    def paintEvent(self, event: QPaintEvent) -> None:
        picture = self._picture
        if picture is None:
            return
        painter = QPainter(self)
        colors, room = self._theme.theme, self._room()
        self._draw_grid(painter, room, picture.y)
        self._draw_frame(painter, room, picture.title, picture.x, picture.y)
        for i in range(len(picture.values)):
            is_read = self.spot is not None and self.spot[0] == i
            painter.fillRect(self.bar_rect(i), colors.color("accent", 1.0 if is_read or self.spot is None else 0.45))
        self._draw_focus(painter, room)
        if self.spot is not None:
            bar = self.bar_rect(self.spot[0])
            self._draw_read_out(painter, QPointF(bar.center().x(), room.top()), self._words(self.spot))
