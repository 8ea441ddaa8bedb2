"""The base class of painted charts: axes, ticks, titles, and a read-out beside the pointer."""

from __future__ import annotations

import math

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal, Slot
from PySide6.QtGui import QEnterEvent, QFocusEvent, QFontMetrics, QKeyEvent, QMouseEvent, QPainter, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from terrarium.app.kit.chart_export import Columns
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.plots.chart_base import ChartBase, is_by_key
from terrarium.app.plots.pictures import Axis, format_ticks, round_ticks

_KEYS = {
    Qt.Key.Key_Left: (-1, 0),
    Qt.Key.Key_Right: (1, 0),
    Qt.Key.Key_Up: (0, -1),
    Qt.Key.Key_Down: (0, 1),
}

_IN_SUMMARY = 12
"""How many spots the summary for a screen reader describes."""


class Figure(ChartBase):
    """A painted chart, which the pointer or the arrow keys read out; Escape ends the read-out.

    Subclasses map points to spots, describe spots, and paint.

    Signals:
        read(str): the description of the spot under the pointer, '' for none.
    """

    read = Signal(str)

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(theme, parent)
        self.spot: tuple[int, int] | None = None
        """The (column, row) of the spot that is read out."""
        self._shows_focus = False
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(160, 96)
        theme.theme_changed.connect(self._restyle)

    def sizeHint(self) -> QSize:
        return QSize(420, 200)

    # -- For subclasses ------------------------------------------------------------------------------------------------

    def _shape(self) -> tuple[int, int]:
        """Return the numbers of spots as (columns, rows)."""
        raise NotImplementedError

    def spot_at(self, point: QPointF) -> tuple[int, int] | None:
        raise NotImplementedError

    def _words(self, spot: tuple[int, int]) -> str:
        raise NotImplementedError

    @Slot()
    def _restyle(self) -> None:
        self.update()

    def columns(self) -> Columns:
        """Return the read-outs of all spots; subclasses return the numbers themselves."""
        spots = self._spots()
        places = {"column": [column + 1 for column, _ in spots], "row": [row + 1 for _, row in spots]}
        return {**places, "reading": [self._words(spot).replace("\n", "; ") for spot in spots]}

    def summary(self) -> str:
        """Describe the first spots, and how many there are."""
        spots = self._spots()
        if not spots:
            return "Nothing is drawn yet."
        words = [self._words(spot).replace("\n", ", ") for spot in spots[:_IN_SUMMARY]]
        more = f" And {len(spots) - _IN_SUMMARY:,} more." if len(spots) > _IN_SUMMARY else ""
        return f"{'. '.join(words)}.{more}"

    def _spots(self) -> list[tuple[int, int]]:
        columns, rows = self._shape()
        return [(column, row) for row in range(rows) for column in range(columns)]

    # -- Reading -------------------------------------------------------------------------------------------------------

    def set_spot(self, spot: tuple[int, int] | None) -> None:
        """Read out a spot (column, row), or none."""
        if spot != self.spot:
            self.spot = spot
            words = self._words(spot) if spot is not None else ""
            self.setAccessibleDescription(words or self.summary())
            self.read.emit(words)
            self.update()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        self.set_spot(self.spot_at(event.position()))

    def enterEvent(self, event: QEnterEvent) -> None:
        super().enterEvent(event)
        self.set_spot(self.spot_at(event.position()))

    def leaveEvent(self, event: QEvent) -> None:
        super().leaveEvent(event)
        self.set_spot(None)

    def focusInEvent(self, event: QFocusEvent) -> None:
        self._shows_focus = is_by_key(event.reason())  # not when a window opens, or after a click
        if self.spot is None:
            self.setAccessibleDescription(self.summary())
        super().focusInEvent(event)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        self._shows_focus = False
        self.set_spot(None)
        super().focusOutEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        columns, rows = self._shape()
        step = _KEYS.get(Qt.Key(event.key()))
        self._shows_focus = True
        if event.key() == Qt.Key.Key_Escape and self.spot is not None:
            self.set_spot(None)
        elif step is not None and columns and rows:
            stride = 10 if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else 1
            x, y = self.spot or (0, 0)
            if self.spot is not None:
                x, y = x + stride * step[0], y + stride * step[1]
            self.set_spot((min(max(x, 0), columns - 1), min(max(y, 0), rows - 1)))
        else:
            super().keyPressEvent(event)

    # -- Painting ------------------------------------------------------------------------------------------------------

    def _metrics(self) -> QFontMetrics:
        return QFontMetrics(self._theme.font(0.9))

    def _room(self) -> QRectF:
        """Return the plot area: the widget without titles, axes and colour bar; the same in every figure."""
        metrics = self._metrics()
        left = metrics.height() + metrics.horizontalAdvance("−0.00") + 1.5 * SPACE
        top = QFontMetrics(self._theme.font(bold=True)).height() + SPACE
        bottom = 2 * metrics.height() + SPACE
        right = 12 + metrics.horizontalAdvance("−0.000") + 2.5 * SPACE
        return QRectF(left, top, max(self.width() - left - right, 1), max(self.height() - top - bottom, 1))

    def _draw_grid(self, painter: QPainter, room: QRectF, y: Axis) -> None:
        """Draw a horizontal line across `room` at each tick of the y axis."""
        for place, _ in self._ticks(y, room.height(), lying=False):
            at = round(room.top() + (y.high - place) / (y.high - y.low) * room.height()) + 0.5
            painter.setPen(QPen(self._theme.theme.color("border_strong" if place == 0 else "border"), 1))
            painter.drawLine(QPointF(room.left(), at), QPointF(room.right(), at))

    def _draw_frame(self, painter: QPainter, room: QRectF, title: str, x: Axis, y: Axis) -> None:
        """Draw the title, the ticks and the axes' titles around `room`."""
        colors, metrics = self._theme.theme, self._metrics()
        painter.setFont(self._theme.font(bold=True))
        painter.setPen(colors.color("text"))
        top = QRectF(room.left(), 0, self.width() - room.left(), room.top() - SPACE / 2)
        title = QFontMetrics(painter.font()).elidedText(title, _RIGHT, int(top.width()))
        painter.drawText(top, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, title)
        painter.setFont(self._theme.font(0.9))
        painter.setPen(colors.color("muted"))
        for place, words in self._ticks(x, room.width(), lying=True):
            at = room.left() + (place - x.low) / (x.high - x.low) * room.width()
            half = metrics.horizontalAdvance(words) / 2
            at = min(max(at, half), self.width() - half)
            box = QRectF(at - half - 2, room.bottom() + SPACE / 2, 2 * half + 4, metrics.height())
            painter.drawText(box, Qt.AlignmentFlag.AlignCenter, words)
        for place, words in self._ticks(y, room.height(), lying=False):
            at = room.top() + (y.high - place) / (y.high - y.low) * room.height()
            box = QRectF(0, at - metrics.height() / 2, room.left() - SPACE * 0.75, metrics.height())
            painter.drawText(box, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, words)
        below = QRectF(room.left(), room.bottom() + SPACE / 2 + metrics.height(), room.width(), metrics.height())
        painter.drawText(below, Qt.AlignmentFlag.AlignCenter, x.title)
        self._draw_upwards(painter, QPointF(0, room.bottom()), room.height(), y.title)

    def _draw_upwards(self, painter: QPainter, start: QPointF, length: float, words: str) -> None:
        """Draw text upwards (rotated by 90°), centred in the `length` above `start`, to its right."""
        metrics = self._metrics()
        painter.save()
        painter.translate(start)
        painter.rotate(-90)
        line = QRectF(0, 0, length, metrics.height())
        painter.drawText(line, Qt.AlignmentFlag.AlignCenter, metrics.elidedText(words, _RIGHT, int(length)))
        painter.restore()

    def _ticks(self, axis: Axis, size: float, *, lying: bool) -> list[tuple[float, str]]:
        metrics = self._metrics()
        if axis.ticks:
            every = 1 if lying else math.ceil(len(axis.ticks) * 0.9 * metrics.height() / max(size, 1))
            return list(axis.ticks[::every])
        wide = max(metrics.horizontalAdvance(format_ticks([end])[0]) for end in (axis.low, axis.high)) + 3 * SPACE
        room = wide if lying else 1.7 * metrics.height()
        values = round_ticks(axis, max(2, int(size / room)))
        return list(zip(values, format_ticks(values), strict=True))

    def _draw_focus(self, painter: QPainter, room: QRectF) -> None:
        """Draw a frame around `room` while the keyboard reads the figure."""
        if self._shows_focus:
            painter.setPen(QPen(self._theme.theme.color("accent"), 1))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(room.adjusted(-2, -2, 2, 2))

    def _draw_read_out(self, painter: QPainter, beside: QPointF, words: str) -> None:
        """Draw a small box beside a point, on the side with more space."""
        font = self._theme.font(0.9)
        metrics, lines = QFontMetrics(font), words.split("\n")
        width = max(metrics.horizontalAdvance(line) for line in lines) + 2 * SPACE
        height = metrics.height() * len(lines) + SPACE
        x = beside.x() + 12 if beside.x() < self.width() / 2 else beside.x() - 12 - width
        y = beside.y() + 12 if beside.y() < self.height() / 2 else beside.y() - 12 - height
        box = QRectF(
            min(max(x, 1), self.width() - width - 1), min(max(y, 1), self.height() - height - 1), width, height
        )
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(self._theme.theme.color("border_strong"), 1))
        painter.setBrush(self._theme.theme.color("raised", 0.96))
        painter.drawRoundedRect(box, 6, 6)
        painter.setFont(font)
        painter.setPen(self._theme.theme.color("text"))
        painter.drawText(box.adjusted(SPACE, SPACE / 2, -SPACE, -SPACE / 2), int(Qt.AlignmentFlag.AlignLeft), words)


_RIGHT = Qt.TextElideMode.ElideRight
