"""The graphics items of lines, and of the static parts: sheets, labels, dots."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QPainter, QPainterPath, QPainterPathStroker, QPen
from PySide6.QtWidgets import QGraphicsItem, QStyleOptionGraphicsItem, QWidget

from terrarium.app.builder.diagram.geometry import Picture, Wire
from terrarium.app.builder.diagram.items import Fonts, Mark, qrect
from terrarium.app.builder.diagram.part import Part
from terrarium.app.kit.theme import ThemeProvider

_LOOKS = {  # look -> colour role, width in pixels
    "thin": ("faint", 1.4),
    "spine": ("accent", 4.0),
    "memory": ("value", 2.4),
    "link": ("info", 1.4),
    "faint": ("border_strong", 1.0),
    "fan": ("validation", 1.6),
}
_HIT_WIDTH, _CORNER = 11.0, 8.0


class WireItem(Mark):
    """A line that carries the output of its part."""

    def __init__(self, wire: Wire, part: Part, theme: ThemeProvider) -> None:
        self.wire = wire
        self._path = _rounded([QPointF(*point) for point in wire.points])
        super().__init__(part, self._path.boundingRect(), theme)
        self._shape: QPainterPath | None = None
        self.setZValue({"spine": 0.0, "memory": 1.2}.get(wire.look, 1.0))

    def shape(self) -> QPainterPath:
        if self._shape is None:
            stroker = QPainterPathStroker()
            stroker.setWidth(_HIT_WIDTH)
            self._shape = stroker.createStroke(self._path)
        return self._shape

    def boundingRect(self) -> QRectF:
        return self.rect.adjusted(-8, -8, 8, 8)

    def paint(self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None) -> None:
        colors = self._theme.theme
        role, width = _LOOKS[self.wire.look]
        lit = self.lit or self.focused
        colour = colors.color("accent" if lit else role)
        pen = QPen(colour, width + (0.9 if lit else 0))
        pen.setCapStyle(Qt.PenCapStyle.FlatCap)
        if self.wire.look == "link":
            pen.setDashPattern([3, 3])
        painter.setPen(pen)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawPath(self._path)
        if self.wire.arrow:
            half = 8.0 if self.wire.look == "spine" else 4.2
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(colour)
            painter.drawPath(_head(QPointF(*self.wire.points[-2]), QPointF(*self.wire.points[-1]), half))


class Backdrop(QGraphicsItem):
    """The static parts: sheets behind the lines, labels and dots in front of them."""

    def __init__(self, picture: Picture, theme: ThemeProvider, fonts: Fonts, *, behind: bool) -> None:
        super().__init__()
        self._picture, self._theme, self._fonts, self._behind = picture, theme, fonts, behind
        self.setZValue(-1 if behind else 2.5)

    def boundingRect(self) -> QRectF:
        return qrect(self._picture.frame)

    def paint(self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None) -> None:
        if self._behind:
            self._paint_sheets(painter)
        else:
            self._paint_dots(painter)
            self._paint_words(painter)

    def _paint_sheets(self, painter: QPainter) -> None:
        colors = self._theme.theme
        for sheet in sorted(self._picture.sheets, key=lambda sheet: -sheet.rect.width):
            pen = QPen(colors.color("border_strong" if sheet.dashed else "border"), 1)
            if sheet.dashed:
                pen.setStyle(Qt.PenStyle.DashLine)
            painter.setPen(pen)
            for behind in range(min(sheet.copies - 1, 2), -1, -1):
                painter.setBrush(colors.color("sunken" if behind or sheet.dashed else "window"))
                shift = (2.5 if sheet.dashed else 4.0) * behind
                painter.drawRoundedRect(qrect(sheet.rect).translated(shift, -shift), 10, 10)
        for node in self._picture.nodes:
            if node.look == "scale":
                painter.setPen(QPen(colors.color("border_strong"), 1))
                painter.setBrush(colors.color("sunken"))
                painter.drawRect(qrect(node.rect))

    def _paint_dots(self, painter: QPainter) -> None:
        colors = self._theme.theme
        for dot in self._picture.dots:
            at = QPointF(*dot.at)
            painter.setPen(Qt.PenStyle.NoPen)
            if dot.look == "tap":
                painter.setBrush(colors.color("accent"))
                painter.drawEllipse(at, 4, 4)
                continue
            used = dot.look == "used"
            painter.setPen(QPen(colors.color("validation" if used else "border_strong"), 1.2))
            painter.setBrush(colors.color("validation" if used else "surface"))
            half = dot.size / 2
            painter.drawRoundedRect(QRectF(at.x() - half, at.y() - half, 2 * half, 2 * half), half / 2, half / 2)

    def _paint_words(self, painter: QPainter) -> None:
        colors = self._theme.theme
        for label in self._picture.labels:
            width = self._fonts.measure(label.text, label.look)
            left = {"left": 0.0, "right": width, "centre": width / 2}[label.align]
            rect = QRectF(label.at.x - left, label.at.y - 9, width + 2, 18)
            painter.setFont(self._fonts.font(label.look))
            painter.setPen(colors.color("text" if label.look == "badge" else "muted"))
            painter.drawText(rect, Qt.AlignmentFlag.AlignVCenter, label.text)


def _rounded(points: list[QPointF]) -> QPainterPath:
    path = QPainterPath(points[0])
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        path.lineTo(_towards(corner, before, _CORNER))
        path.quadTo(corner, _towards(corner, after, _CORNER))
    path.lineTo(points[-1])
    return path


def _head(before: QPointF, tip: QPointF, half_width: float) -> QPainterPath:
    along = tip - before
    length = (along.x() ** 2 + along.y() ** 2) ** 0.5 or 1.0
    unit = along / length
    back = tip - unit * (1.7 * half_width)
    across = QPointF(-unit.y(), unit.x()) * half_width
    head = QPainterPath(tip)
    head.lineTo(back + across)
    head.lineTo(back - across)
    head.closeSubpath()
    return head


def _towards(start: QPointF, goal: QPointF, distance: float) -> QPointF:
    """Return the point at `distance` from `start` towards `goal`, at most half-way."""
    step = goal - start
    length = (step.x() ** 2 + step.y() ** 2) ** 0.5
    return start + step * min(distance / length, 0.5) if length else start
