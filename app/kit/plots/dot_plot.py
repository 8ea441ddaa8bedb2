"""A plot of measured points with error bars, optionally joined, labelled, or with arrows between them."""

from __future__ import annotations

import math

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPen, QPolygonF

from terrarium.app.kit.plots.figure import Plot
from terrarium.app.kit.plots.pictures import Axis, Dot, DotPicture
from terrarium.app.kit.theme import SPACE

_RADIUS, _CAP = 4.0, 3.0  # pixels: of a dot, and half of an interval's end
_HEAD = 8.0  # pixels: the length of an arrow's head


class DotPlot(Plot[DotPicture]):
    """Shows a DotPicture; the pointer or the arrow keys read a dot."""

    # -- Reading -------------------------------------------------------------------------------------------------------

    def _room(self) -> QRectF:
        room = super()._room()
        room.setRight(self.width() - 2 * SPACE)  # there is no colour bar
        return room

    def _shape(self) -> tuple[int, int]:
        return (len(self._picture.dots), 1) if self._picture is not None else (0, 0)

    def spot_at(self, point: QPointF) -> tuple[int, int] | None:
        room = self._room()
        if self._picture is None or not self._picture.dots or not room.adjusted(-8, -8, 8, 8).contains(point):
            return None
        places = [self.place_of(dot) for dot in self._picture.dots]
        return min(range(len(places)), key=lambda i: _distance(places[i], point)), 0

    def _words(self, spot: tuple[int, int]) -> str:
        assert self._picture is not None
        return self._picture.dots[spot[0]].words

    # -- Painting ------------------------------------------------------------------------------------------------------

    def place_of(self, dot: Dot) -> QPointF:
        """Return the position at which a dot is drawn."""
        return self._at(self._room(), dot.x, dot.y)

    def _at(self, room: QRectF, x: float, y: float) -> QPointF:
        assert self._picture is not None
        across, up = self._picture.x, self._picture.y
        return QPointF(room.left() + _share(across, x) * room.width(), room.bottom() - _share(up, y) * room.height())

    def paintEvent(self, event: QPaintEvent) -> None:
        picture = self._picture
        if picture is None:
            return
        painter = QPainter(self)
        colors, room = self._theme.theme, self._room()
        self._draw_grid(painter, room, picture.y)
        self._draw_frame(painter, room, picture.title, picture.x, picture.y)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._draw_marks(painter, room, picture)
        for series in picture.series:
            if series.joined:
                painter.setPen(self._theme.pen(series.tone, width=1.6))
                painter.setBrush(Qt.BrushStyle.NoBrush)
                painter.drawPolyline(QPolygonF([self._at(room, dot.x, dot.y) for dot in series.dots]))
        for first, last in picture.arrows:
            self._draw_arrow(painter, self.place_of(picture.dots[first]), self.place_of(picture.dots[last]))
        for series in picture.series:
            for dot in series.dots:
                self._draw_dot(painter, room, dot, series.tone)
        self._draw_names(painter, room, picture)
        self._draw_focus(painter, room)
        if self.spot is not None:
            place = self.place_of(picture.dots[self.spot[0]])
            painter.setPen(QPen(colors.color("text"), 1.5))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawEllipse(place, _RADIUS + 3, _RADIUS + 3)
            self._draw_read_out(painter, place, self._words(self.spot))

    def _draw_marks(self, painter: QPainter, room: QRectF, picture: DotPicture) -> None:
        metrics = self._metrics()
        painter.setFont(self._theme.font(0.9))
        for x, words in picture.marks:
            at = self._at(room, x, picture.y.low).x()
            painter.setPen(self._theme.pen("warning", style=Qt.PenStyle.DashLine))
            painter.drawLine(QPointF(at, room.top()), QPointF(at, room.bottom()))
            width = metrics.horizontalAdvance(words) + 2
            is_left = at + SPACE + width > room.right()
            box = QRectF(at - SPACE - width if is_left else at + SPACE, room.top(), width, metrics.height())
            painter.setPen(self._theme.theme.color("warning"))
            painter.drawText(box, Qt.AlignmentFlag.AlignCenter, words)

    def _draw_dot(self, painter: QPainter, room: QRectF, dot: Dot, tone: str) -> None:
        colors, place = self._theme.theme, self._at(room, dot.x, dot.y)
        painter.setPen(self._theme.pen(tone, width=1.4, alpha=0.75))
        for ends, cap in (
            ([self._at(room, x, dot.y) for x in dot.x_interval or ()], QPointF(0, _CAP)),
            ([self._at(room, dot.x, y) for y in dot.y_interval or ()], QPointF(_CAP, 0)),
        ):
            if ends:
                painter.drawLine(*ends)
            for end in ends:
                painter.drawLine(end - cap, end + cap)
        painter.setPen(QPen(colors.color("surface"), 1.5))
        painter.setBrush(colors.color(tone))
        painter.drawEllipse(place, _RADIUS, _RADIUS)

    def _draw_arrow(self, painter: QPainter, first: QPointF, last: QPointF) -> None:
        way = _distance(first, last)
        if way < 4 * _HEAD:
            return  # its head would hide both dots
        step = (last - first) / way
        tip, across = last - step * 2 * _RADIUS, QPointF(-step.y(), step.x()) * _HEAD / 2
        painter.setPen(self._theme.pen("muted", width=1.2))
        painter.setBrush(self._theme.theme.color("muted"))
        painter.drawLine(first + step * 2 * _RADIUS, tip)
        painter.drawPolygon(QPolygonF([tip, tip - step * _HEAD + across, tip - step * _HEAD - across]))

    def _draw_names(self, painter: QPainter, room: QRectF, picture: DotPicture) -> None:
        """Draw each name beside its dot, if possible where it covers no other name or dot."""
        metrics = self._metrics()
        painter.setFont(self._theme.font(0.9))
        painter.setPen(self._theme.theme.color("text"))
        places = [self._at(room, dot.x, dot.y) for dot in picture.dots]
        taken = [QRectF(place.x() - 6, place.y() - 6, 12, 12) for place in places]
        for i, (dot, place) in enumerate(zip(picture.dots, places, strict=True)):
            if not dot.name:
                continue
            width, height = metrics.horizontalAdvance(dot.name) + 2, metrics.height()
            corners = [
                (x, y)
                for dy in (-height - 2, 4, -height / 2, -2 * height - 4, height + 4)
                for x, y in ((place.x() + 10, place.y() + dy), (place.x() - 10 - width, place.y() + dy))
            ]
            boxes = [QRectF(x, y, width, height) for x, y in corners]
            inside = [box for box in boxes if room.adjusted(-2, -SPACE, 2, 2).contains(box)] or boxes[:1]
            others = taken[:i] + taken[i + 1 :]
            box = next((box for box in inside if not any(box.intersects(other) for other in others)), inside[0])
            taken.append(box)
            painter.drawText(box, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, dot.name)


def _distance(first: QPointF, last: QPointF) -> float:
    return math.hypot(last.x() - first.x(), last.y() - first.y())


def _share(axis: Axis, value: float) -> float:
    return (value - axis.low) / (axis.high - axis.low)
