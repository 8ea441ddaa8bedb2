"""Lines over a common axis, with a legend."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QPainter, QPainterPath, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QWidget

from terrarium.app.kit.plots.figure import Plot
from terrarium.app.kit.plots.heat_map import HeatMap
from terrarium.app.kit.plots.pictures import Line, LinePicture
from terrarium.app.kit.theme import SPACE, ThemeProvider

_TONES = {"main": ("accent", 1.8), "other": ("muted", 1.2), "background": ("faint", 1.0)}


class LinePlot(Plot[LinePicture]):
    """Shows a LinePicture; the pointer reads all lines at its x."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(theme, parent)
        self.beside: HeatMap | None = None
        """The square map at its right, whose height it adopts; None if it is below a map of equal width."""

    # -- Reading -------------------------------------------------------------------------------------------------------

    def _room(self) -> QRectF:
        room = super()._room()
        if self.beside is not None:
            room.setRight(self.width() - 2 * SPACE)
            room.setHeight(min(room.height(), self.beside.area.height()))
        return room

    def _shape(self) -> tuple[int, int]:
        return (len(self._picture.at), 1) if self._picture is not None else (0, 0)

    def spot_at(self, point: QPointF) -> tuple[int, int] | None:
        room = self._room()
        if self._picture is None or not room.adjusted(-SPACE, -SPACE, SPACE, SPACE).contains(point):
            return None
        axis, at = self._picture.x, self._picture.at
        place = axis.low + (point.x() - room.left()) / room.width() * (axis.high - axis.low)
        i = int(np.searchsorted(at, place))
        nearest = min(range(max(i - 1, 0), min(i + 1, len(at))), key=lambda j: abs(at[j] - place), default=len(at) - 1)
        return nearest, 0

    def _words(self, spot: tuple[int, int]) -> str:
        assert self._picture is not None
        return self._picture.describe(spot[0])

    # -- Painting ------------------------------------------------------------------------------------------------------

    def _x(self, room: QRectF, place: float) -> float:
        assert self._picture is not None
        axis = self._picture.x
        return room.left() + (place - axis.low) / (axis.high - axis.low) * room.width()

    def _y(self, room: QRectF, value: float) -> float:
        assert self._picture is not None
        axis = self._picture.y
        return room.top() + (axis.high - value) / (axis.high - axis.low) * room.height()

    def paintEvent(self, event: QPaintEvent) -> None:
        picture = self._picture
        if picture is None:
            return
        painter = QPainter(self)
        room = self._room()
        self._draw_grid(painter, room, picture.y)
        self._draw_frame(painter, room, picture.title, picture.x, picture.y)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.save()
        painter.setClipRect(room.adjusted(-2, -2, 2, 2))
        order = ("background", "other", "main")
        for line in sorted(picture.lines, key=lambda line: order.index(line.tone)):
            self._draw_line(painter, room, picture, line)
        painter.restore()
        self._draw_names(painter, room, picture)
        self._draw_focus(painter, room)
        if self.spot is not None:
            self._draw_spot(painter, room, picture, self.spot[0])

    def _draw_line(self, painter: QPainter, room: QRectF, picture: LinePicture, line: Line) -> None:
        role, width = _TONES[line.tone]
        is_dense = len(picture.at) > room.width()  # wide or dashed lines with many points are slow and illegible
        alpha = 0.6 if line.tone == "background" or (is_dense and line.tone == "other") else 1.0
        pen = QPen(self._theme.theme.color(role, alpha), min(width, 1.2) if is_dense else width)
        if line.tone == "other" and not is_dense:
            pen.setStyle(Qt.PenStyle.DashLine)
        painter.setPen(pen)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        places, values = picture.at.astype(np.float64), line.values.astype(np.float64)
        if picture.steps:
            places = np.repeat(places, 2)[1:]
            values = np.repeat(values, 2)[:-1]
        x = room.left() + (places - picture.x.low) / (picture.x.high - picture.x.low) * room.width()
        y = room.top() + (picture.y.high - values) / (picture.y.high - picture.y.low) * room.height()
        y = np.clip(y, room.top() - 1e4, room.bottom() + 1e4)
        path = QPainterPath()
        path.addPolygon(QPolygonF([QPointF(a, b) for a, b in zip(x.tolist(), y.tolist(), strict=True)]))
        painter.drawPath(path)

    def _draw_names(self, painter: QPainter, room: QRectF, picture: LinePicture) -> None:
        """Draw a legend at the right of the title: the stroke of each named line, and its name."""
        metrics = self._metrics()
        right = room.right() if self.beside is not None else self.width() - 1.0
        painter.setFont(self._theme.font(0.9))
        for line in reversed([line for line in picture.lines if line.name]):
            role, width = _TONES[line.tone]
            right -= metrics.horizontalAdvance(line.name)
            middle = (room.top() - SPACE / 2) / 2
            painter.setPen(self._theme.theme.color("text" if line.tone == "main" else "muted"))
            box = QRectF(right, 0, self.width() - right, 2 * middle)
            painter.drawText(box, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, line.name)
            pen = QPen(self._theme.theme.color(role), width)
            if line.tone == "other":
                pen.setStyle(Qt.PenStyle.DashLine)
            painter.setPen(pen)
            painter.drawLine(QPointF(right - SPACE - 18, middle), QPointF(right - SPACE, middle))
            right -= 18 + 3 * SPACE

    def _draw_spot(self, painter: QPainter, room: QRectF, picture: LinePicture, i: int) -> None:
        colors = self._theme.theme
        x = self._x(room, float(picture.at[i]))
        painter.setPen(QPen(colors.color("text", 0.45), 1))
        painter.drawLine(QPointF(x, room.top()), QPointF(x, room.bottom()))
        top = room.bottom()
        for line in picture.lines:
            y = self._y(room, float(line.values[i]))
            if line.tone == "background" or not room.top() - 1 <= y <= room.bottom() + 1:
                continue
            painter.setPen(QPen(colors.color("surface"), 1.5))
            painter.setBrush(colors.color(_TONES[line.tone][0]))
            painter.drawEllipse(QPointF(x, y), 4, 4)
            top = min(top, y)
        # At the end of the plot area that is farther from the lines.
        free = room.bottom() if top < room.center().y() else room.top()
        self._draw_read_out(painter, QPointF(x, free), self._words((i, 0)))
