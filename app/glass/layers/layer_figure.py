"""The base class of charts over the layers of a model: the embedding on the left, then every layer."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetrics, QPainter, QPen
from PySide6.QtWidgets import QWidget

from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.plots.figure import Figure
from terrarium.app.plots.pictures import Axis


class LayerFigure(Figure):
    """A chart with a slot per layer; the values of the slot under the pointer are displayed."""

    _has_legend = False

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(theme, parent)
        self._slots: Sequence[str] = ()
        self.setMinimumHeight(166)
        self.setMaximumHeight(260)

    def sizeHint(self) -> QSize:
        return QSize(420, 184)

    def _shape(self) -> tuple[int, int]:
        return len(self._slots), 1

    def spot_at(self, point: QPointF) -> tuple[int, int] | None:
        room = self._room()
        if not self._slots or not room.adjusted(-SPACE, -SPACE, SPACE, SPACE).contains(point):
            return None
        slot = int((point.x() - room.left()) / room.width() * len(self._slots))
        return min(max(slot, 0), len(self._slots) - 1), 0

    def _room(self) -> QRectF:
        metrics = self._metrics()
        left = metrics.height() + metrics.horizontalAdvance("−00.0") + 1.5 * SPACE
        top = metrics.height() + SPACE if self._has_legend else metrics.height() / 2
        bottom = 2 * metrics.height() + SPACE
        return QRectF(left, top, max(self.width() - left - 2, 1), max(self.height() - top - bottom, 1))

    def _x(self, room: QRectF, slot: float) -> float:
        """Return the x coordinate of the centre of a slot."""
        return room.left() + (slot + 0.5) / max(len(self._slots), 1) * room.width()

    def _slot_axis(self) -> Axis:
        """Return the x axis with the labels of as many slots as fit."""
        n = len(self._slots)
        widest = max((self._metrics().horizontalAdvance(words) for words in self._slots[1:]), default=1)
        every = max(1, -int(-(widest + SPACE) * n // max(self._room().width(), 1)))
        named = {i: words for i, words in enumerate(self._slots) if i % every == 0 or i == n - 1}
        if n - 1 - (n - 1) // every * every not in (0,) and every > 1:
            named.pop((n - 1) // every * every, None)  # too close to the last
        return Axis(title="layer", low=-0.5, high=n - 0.5, ticks=tuple((float(i), words) for i, words in named.items()))

    def _draw_ground(self, painter: QPainter, y: Axis) -> QRectF:
        """Draw grid lines and labels, and return the rectangle for the data."""
        room, colors = self._room(), self._theme.theme
        for value, _ in self._ticks(y, room.height(), lying=False):
            at = round(self._y(room, y, value)) + 0.5
            painter.setPen(QPen(colors.color("border_strong" if value == 0 else "border"), 1))
            painter.drawLine(QPointF(room.left(), at), QPointF(room.right(), at))
        self._draw_frame(painter, room, "", self._slot_axis(), y)
        return room

    def _y(self, room: QRectF, axis: Axis, value: float) -> float:
        return room.top() + (axis.high - value) / max(axis.high - axis.low, 1e-12) * room.height()

    def _draw_legend(self, painter: QPainter, entries: Sequence[tuple[QColor, str]]) -> None:
        """Draw the legend above the data."""
        metrics = QFontMetrics(self._theme.font(0.9))
        wide = sum(12 + metrics.horizontalAdvance(words) + 1.5 * SPACE for _, words in entries)
        x = max(0.0, min(self._room().left(), self.width() - wide))
        painter.setFont(self._theme.font(0.9))
        for color, words in entries:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(color)
            painter.drawRoundedRect(QRectF(x, metrics.height() / 2 - 4, 8, 8), 2, 2)
            painter.setPen(self._theme.theme.color("muted"))
            painter.drawText(QRectF(x + 12, 0, self.width(), metrics.height()), Qt.AlignmentFlag.AlignVCenter, words)
            x += 12 + metrics.horizontalAdvance(words) + 1.5 * SPACE

    def _draw_read_slot(self, painter: QPainter, room: QRectF) -> None:
        """Draw a line through the current slot, if any, and its values beside it."""
        if self.spot is None:
            return
        x = self._x(room, self.spot[0])
        painter.setPen(QPen(self._theme.theme.color("text", 0.45), 1))
        painter.drawLine(QPointF(x, room.top()), QPointF(x, room.bottom()))
        self._draw_read_out(painter, QPointF(x, room.top()), self._words(self.spot))
