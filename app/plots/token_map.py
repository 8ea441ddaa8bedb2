"""A heat map whose rows and columns are labelled with tokens."""

from __future__ import annotations

import math

from PySide6.QtCore import QPointF, QRectF, Qt, Signal, Slot
from PySide6.QtGui import QFontMetrics, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.plots.heat_map import HeatMap
from terrarium.app.plots.pictures import Axis, HeatPicture

_MAX_NAME_LENGTH = 9
"""The maximum length of a token's label, in characters."""
_MAX_CELL_HEIGHT = 22  # pixels, of cells that are not square


class TokenMap(HeatMap):
    """A heat map of tokens. If not all labels fit, only every n-th is drawn, and always that of the cell read out.

    Signals:
        clicked(row, column): the user clicked a cell.
    """

    clicked = Signal(int, int)

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(theme, parent)
        self._marked: int | None = None
        self._label = (0.0, 0.0)
        self._bar_room = 0
        self.setMinimumSize(150, 140)

    def set_picture(self, picture: HeatPicture) -> None:
        """Show another picture; the same cell stays read out if both have the same shape."""
        spot, before = self.spot, self.picture
        super().set_picture(picture)
        if before is None or before.x.ticks is not picture.x.ticks or before.y.ticks is not picture.y.ticks:
            self._measure()
        if before is None or (before.bar, before.shows) != (picture.bar, picture.shows):
            self._measure_bar()
        if before is not None and before.values.shape == picture.values.shape:
            self.set_spot(spot)

    def height_at(self, width: int, most: int) -> int:
        """Return the height, at most `most`, at which square cells are as large as the width allows."""
        if self.picture is None:
            return most
        room = self._room_in(width, most)
        rows, columns = self.picture.values.shape
        cell = min(room.width() / columns, room.height() / rows)
        cell = int(cell) if cell >= 4 else cell
        if not self.picture.square:
            cell = min(max(room.height() / rows, 4), _MAX_CELL_HEIGHT)
        return int(room.top() + min(rows * cell, room.height())) + 3

    def mark_row(self, row: int | None) -> None:
        """Frame the row that other views show; None removes the frame."""
        if row != self._marked:
            self._marked = row
            self.update()

    @property
    def marked(self) -> int | None:
        """The framed row, or None."""
        return self._marked

    def mousePressEvent(self, event: QMouseEvent) -> None:
        spot = self.spot_at(event.position())
        if spot is not None and event.button() == Qt.MouseButton.LeftButton:
            self.clicked.emit(spot[1], spot[0])

    @Slot()
    def _restyle(self) -> None:
        super()._restyle()
        self._measure()
        self._measure_bar()

    def _token_metrics(self) -> QFontMetrics:
        return QFontMetrics(self._theme.mono_font(0.82))

    def _measure(self) -> None:
        """Measure the labels of rows and columns, in pixels."""
        metrics, picture = self._token_metrics(), self.picture
        if picture is None:
            return
        most = _MAX_NAME_LENGTH * metrics.horizontalAdvance("0")
        rows, columns = (
            min(max((metrics.horizontalAdvance(words) for _, words in axis.ticks), default=0), most) + SPACE
            for axis in (picture.y, picture.x)
        )
        title = QFontMetrics(self._theme.font(0.9)).height()
        self._label = rows + title * bool(picture.y.title), columns + title * bool(picture.x.title)

    def _measure_bar(self) -> None:
        picture, metrics = self.picture, QFontMetrics(self._theme.font(0.9))
        if picture is None:
            return
        self._bar_room = 4 * SPACE + max((metrics.horizontalAdvance(words) for _, words in picture.bar), default=0)
        self._bar_room += metrics.height() if picture.shows else 0

    def _room(self) -> QRectF:
        return self._room_in(self.width(), self.height())

    def _room_in(self, width: int, height: int) -> QRectF:
        left, top = self._label
        wide, high = width - left - self._bar_room, height - top - 2
        return QRectF(left, top, max(wide, 1.0), max(high, 1.0))

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if self._marked is None or self.picture is None or self._marked >= len(self.picture.values):
            return
        area, cell = self.area, self.cell_rect(0, self._marked)
        high = max(cell.height(), 3.0)
        row = QRectF(area.left(), cell.center().y() - high / 2, area.width(), high)
        painter = QPainter(self)
        painter.setPen(QPen(self._theme.theme.color("accent"), 1.5))
        painter.drawRect(row.adjusted(-1, -1, 0, 0))

    def _draw_frame(self, painter: QPainter, room: QRectF, title: str, x: Axis, y: Axis) -> None:
        """Draw the tokens of the rows at the left, those of the columns at the top, rotated, and the axes' titles."""
        painter.setFont(self._theme.font(0.9))
        painter.setPen(self._theme.theme.color("muted"))
        self._draw_upwards(painter, QPointF(0, room.bottom()), room.height(), y.title)
        titles = self._metrics()
        above = titles.elidedText(x.title, Qt.TextElideMode.ElideRight, int(room.width()))
        painter.drawText(QRectF(room.left(), 0, room.width(), titles.height()), Qt.AlignmentFlag.AlignCenter, above)
        painter.setFont(self._theme.mono_font(0.82))
        metrics = self._token_metrics()
        for axis, size, index, angle in ((y, room.height(), 1, 0), (x, room.width(), 0, 90)):
            read = self.spot[index] if self.spot is not None else None
            beside = titles.height() * bool(axis.title)
            longest = int((room.top() if angle else room.left()) - beside - SPACE / 2)
            step = size / max(len(axis.ticks), 1)
            every = max(1, math.ceil(0.92 * metrics.height() / max(step, 1e-9)))
            for i, (_, words) in enumerate(axis.ticks):
                if i != read and not _is_written(i, every, read):
                    continue
                text = metrics.elidedText(words, Qt.TextElideMode.ElideRight, longest)
                middle = (i + 0.5) * step
                if angle:
                    self._draw_token(painter, text, room.left() + middle, room.top() - SPACE / 2, angle, i == read)
                else:
                    self._draw_token(painter, text, room.left() - SPACE / 2, room.top() + middle, angle, i == read)

    def _draw_token(self, painter: QPainter, text: str, x: float, y: float, angle: int, is_read: bool) -> None:
        """Draw a token so that it ends at a point (for 90°: starts there, upwards)."""
        height = self._token_metrics().height()
        painter.save()
        painter.translate(x, y)
        painter.rotate(-angle)
        painter.setPen(self._theme.theme.color("text" if is_read else "muted"))
        left, side = (0.0, Qt.AlignmentFlag.AlignLeft) if angle else (-1000.0, Qt.AlignmentFlag.AlignRight)
        painter.drawText(QRectF(left, -height / 2, 1000, height), side | Qt.AlignmentFlag.AlignVCenter, text)
        painter.restore()


def _is_written(i: int, every: int, read: int | None) -> bool:
    """Return whether label `i` is drawn: every `every`-th one, unless it is too close to the label `read`."""
    return i % every == 0 and (read is None or abs(i - read) >= every)
