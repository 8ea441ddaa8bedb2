"""What the block diagram is made of: boxes that explain themselves, sums, arrows, labels and the sheet of a block."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QFocusEvent, QFont, QFontMetricsF, QKeyEvent, QPainter, QPainterPath, QPen
from PySide6.QtWidgets import (
    QGraphicsObject,
    QGraphicsScene,
    QGraphicsSceneHoverEvent,
    QGraphicsSceneMouseEvent,
    QGraphicsSimpleTextItem,
    QStyleOptionGraphicsItem,
    QWidget,
)

from app.colours import Theme
from app.theme import ThemeProvider
from app.widgets.block_parts import ACTIVATION_CURVES, Part

_PAD = 9.0


def title_font(theme: ThemeProvider, size: float = 1.0, *, bold: bool = False) -> QFont:
    """For names. The user's text size is left out here: it scales the whole picture instead."""
    return theme.font(size / theme.text_scale, bold=bold)


def detail_font(theme: ThemeProvider) -> QFont:
    """For numbers and shapes."""
    return theme.mono_font(0.85 / theme.text_scale)


class Box(QGraphicsObject):
    """One part, as a box. `hue`, a role of the theme, colours a stripe; `outlined` marks the cause of a problem.

    Signals:
        hovered(object): its Part when the pointer or the focus comes, None when it leaves.
        clicked(object): its Part.
    """

    hovered = Signal(object)
    clicked = Signal(object)

    def __init__(
        self, part: Part, theme: ThemeProvider, height: float, *, hue: str = "", two_lines: bool = True
    ) -> None:
        super().__init__()
        self._glyph = part.glyph if height > 45 else ""
        self.part, self.outlined = part, False
        self._theme, self._hue, self._two_lines = theme, hue, two_lines
        self._lit, self._fresh = False, False
        self._title_font, self._detail_font = title_font(theme), detail_font(theme)
        self.rect = QRectF(0, 0, self._natural_width(), height)
        self.setAcceptHoverEvents(True)
        self.setFlag(QGraphicsObject.GraphicsItemFlag.ItemIsFocusable)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setToolTip(part.tooltip)

    def _natural_width(self) -> float:
        title = QFontMetricsF(self._title_font).horizontalAdvance(self.part.title)
        detail = QFontMetricsF(self._detail_font).horizontalAdvance(self.part.detail)
        text = max(title, detail) if self._two_lines else title + 8 + detail
        return round(text + 2 * _PAD + (4 if self._hue else 0))

    def set_width(self, width: float) -> None:
        """Make it `width` wide."""
        self.prepareGeometryChange()
        self.rect.setWidth(width)

    @property
    def placed(self) -> QRectF:
        """Where it stands in the scene."""
        return self.rect.translated(self.pos())

    def boundingRect(self) -> QRectF:
        return self.rect.adjusted(-2, -2, 2, 2)

    def paint(self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None) -> None:
        colors = self._theme.theme
        border = colors.danger if self.outlined else colors.accent if self._lit or self._fresh else colors.border_strong
        painter.setPen(QPen(QColor(border), 1.6 if border != colors.border_strong else 1))
        painter.setBrush(QColor(colors.accent_soft if self._fresh else colors.surface))
        painter.drawRoundedRect(self.rect, 6, 6)
        if self._hue:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(colors.color(self._hue))
            painter.drawRoundedRect(QRectF(4, 5, 3, self.rect.height() - 10), 1.5, 1.5)
        text = self.rect.adjusted(4 if self._hue else 0, 0, 0, 0)
        if self._two_lines:
            glyph_height = text.height() - 38 if self._glyph else 0.0
            middle = text.center().y() - glyph_height / 2
            top = QRectF(text.left(), middle - 17, text.width(), 18)
            below = QRectF(text.left(), middle, text.width(), 16)
            alignment = (Qt.AlignmentFlag.AlignCenter, Qt.AlignmentFlag.AlignCenter)
            if self._glyph:
                place = QRectF(text.left(), below.bottom(), text.width(), text.bottom() - below.bottom() - 5)
                paint_glyph(painter, self._glyph, place, colors)
        else:
            top = below = text.adjusted(_PAD - 1, 0, -_PAD, 0)
            middle = Qt.AlignmentFlag.AlignVCenter
            alignment = (Qt.AlignmentFlag.AlignLeft | middle, Qt.AlignmentFlag.AlignRight | middle)
        painter.setFont(self._title_font)
        painter.setPen(QColor(colors.text))
        painter.drawText(top, alignment[0], self.part.title)
        painter.setFont(self._detail_font)
        painter.setPen(QColor(colors.muted))
        painter.drawText(below, alignment[1], self.part.detail)

    def set_fresh(self, fresh: bool) -> None:
        """Show, or no longer, that this part has just changed."""
        self._fresh = fresh
        self.update()

    def _light(self, lit: bool) -> None:
        self._lit = lit
        self.hovered.emit(self.part if lit else None)
        self.update()

    def hoverEnterEvent(self, event: QGraphicsSceneHoverEvent) -> None:
        self._light(True)

    def hoverLeaveEvent(self, event: QGraphicsSceneHoverEvent) -> None:
        self._light(False)

    def focusInEvent(self, event: QFocusEvent) -> None:
        self._light(True)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        self._light(False)

    def mousePressEvent(self, event: QGraphicsSceneMouseEvent) -> None:
        event.accept()

    def mouseReleaseEvent(self, event: QGraphicsSceneMouseEvent) -> None:
        if self.rect.contains(event.pos()):
            self.clicked.emit(self.part)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self.clicked.emit(self.part)
        else:
            event.ignore()


def paint_glyph(painter: QPainter, name: str, place: QRectF, colors: Theme) -> None:
    """A little picture of what a part does: which token may see which ("causal"), or a function's curve."""
    if name == "causal":
        n, side = 6, min(place.height(), place.width()) / 6
        left, top = place.center().x() - n * side / 2, place.center().y() - n * side / 2
        painter.setPen(Qt.PenStyle.NoPen)
        for row in range(n):
            for column in range(n):
                painter.setBrush(colors.color("accent" if column <= row else "border"))
                painter.drawRect(QRectF(left + column * side, top + row * side, side - 1.2, side - 1.2))
        return
    points = [(x, ACTIVATION_CURVES[name](x)) for x in (i / 4 - 3 for i in range(25))]
    highest = max(y for _, y in points)
    lowest = min(y for _, y in points)
    width = min(place.width() - 14, 44.0)
    path = QPainterPath()
    for i, (x, y) in enumerate(points):
        point = QPointF(
            place.center().x() + x / 6 * width, place.bottom() - (y - lowest) / (highest - lowest) * place.height()
        )
        path.moveTo(point) if i == 0 else path.lineTo(point)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(QPen(colors.color("accent"), 1.5))
    painter.drawPath(path)


class Pencil:
    """Draws what needs no interaction onto one scene, in the theme's colours."""

    def __init__(self, scene: QGraphicsScene, theme: ThemeProvider) -> None:
        self._scene, self._colors = scene, theme.theme
        self._small = detail_font(theme)
        self._large = title_font(theme, 1.25, bold=True)

    def sum(self, centre: QPointF, tooltip: str) -> None:
        """⊕ on the spine: something is added here."""
        radius, pen = 9.0, QPen(self._colors.color("accent"), 1.6)
        circle = self._scene.addEllipse(
            centre.x() - radius, centre.y() - radius, 2 * radius, 2 * radius, pen, self._colors.color("surface")
        )
        cross = QPainterPath()
        for dx, dy in ((4.5, 0.0), (0.0, 4.5)):
            cross.moveTo(centre.x() - dx, centre.y() - dy)
            cross.lineTo(centre.x() + dx, centre.y() + dy)
        for item in (circle, self._scene.addPath(cross, pen)):
            item.setZValue(2)
            item.setToolTip(tooltip)

    def line(self, points: list[QPointF], *, arrow: bool = True, tooltip: str = "") -> None:
        """A thin line with rounded corners through `points`, with an arrow head at its end."""
        path = QPainterPath(points[0])
        for before, corner, after in zip(points, points[1:], points[2:], strict=False):
            path.lineTo(_towards(corner, before, 8.0))
            path.quadTo(corner, _towards(corner, after, 8.0))
        path.lineTo(points[-1])
        item = self._scene.addPath(path, QPen(self._colors.color("faint"), 1.4))
        item.setToolTip(tooltip)
        if arrow:
            self._head(points[-2], points[-1], "faint", 4.5)

    def spine(self, x: float, bottom: float, top: float, tooltip: str) -> None:
        """The residual stream: a thick line upwards."""
        path = QPainterPath(QPointF(x, bottom))
        path.lineTo(x, top + 13)
        pen = QPen(self._colors.color("accent"), 5, Qt.PenStyle.SolidLine, Qt.PenCapStyle.FlatCap)
        item = self._scene.addPath(path, pen)
        item.setZValue(-1)
        item.setToolTip(tooltip)
        self._head(QPointF(x, top + 40), QPointF(x, top), "accent", 8.0)

    def dot(self, centre: QPointF) -> None:
        """Where a loop leaves the spine."""
        dot = self._scene.addEllipse(
            centre.x() - 4, centre.y() - 4, 8, 8, QPen(Qt.PenStyle.NoPen), self._colors.color("accent")
        )
        dot.setZValue(1)

    def label(self, text: str, anchor: QPointF, align: str, tooltip: str = "") -> None:
        """A shape in small type; `anchor` is its middle "left", middle "right" or, for "above", bottom centre."""
        item = self._text(text, self._small, "muted", tooltip)
        size = item.boundingRect()
        dx = {"left": 0.0, "right": size.width(), "above": size.width() / 2}[align]
        dy = size.height() if align == "above" else size.height() / 2
        item.setPos(anchor.x() - dx, anchor.y() - dy)

    def width_of(self, text: str) -> float:
        """How wide `label` would write `text`."""
        return QFontMetricsF(self._small).horizontalAdvance(text)

    def badge(self, text: str, top_right: QPointF, tooltip: str) -> None:
        """A large remark in the corner of a sheet."""
        item = self._text(text, self._large, "accent", tooltip)
        item.setPos(top_right.x() - item.boundingRect().width(), top_right.y())

    def chip(self, text: str, centre: QPointF, tooltip: str) -> QRectF:
        """What goes in or comes out, as a rounded label; returns where it stands."""
        item = self._text(text, self._small, "muted", tooltip)
        size = item.boundingRect()
        rect = QRectF(0, 0, size.width() + 22, size.height() + 8)
        rect.moveCenter(centre)
        item.setPos(centre.x() - size.width() / 2, centre.y() - size.height() / 2)
        path = QPainterPath()
        path.addRoundedRect(rect, rect.height() / 2, rect.height() / 2)
        shape = self._scene.addPath(path, QPen(self._colors.color("border"), 1), self._colors.color("sunken"))
        shape.setToolTip(tooltip)
        item.setZValue(1)
        return rect

    def sheet(self, rect: QRectF, n: int) -> None:
        """The panel of one block, with the edges of further ones behind it where there are `n` > 1."""
        for behind in range(min(n - 1, 2), -1, -1):
            path = QPainterPath()
            path.addRoundedRect(rect.translated(6.0 * behind, -6.0 * behind), 10, 10)
            item = self._scene.addPath(
                path, QPen(self._colors.color("border"), 1), self._colors.color("window" if behind == 0 else "sunken")
            )
            item.setZValue(-3 - behind)

    def _text(self, text: str, font: QFont, role: str, tooltip: str) -> QGraphicsSimpleTextItem:
        item = self._scene.addSimpleText(text, font)
        item.setBrush(self._colors.color(role))
        item.setToolTip(tooltip)
        return item

    def _head(self, before: QPointF, tip: QPointF, role: str, half_width: float) -> None:
        back = _towards(tip, before, half_width * 1.8)
        along = tip - back
        length = (along.x() ** 2 + along.y() ** 2) ** 0.5
        across = QPointF(-along.y(), along.x()) * (half_width / length)
        head = QPainterPath(tip)
        head.lineTo(back + across)
        head.lineTo(back - across)
        head.closeSubpath()
        self._scene.addPath(head, QPen(Qt.PenStyle.NoPen), self._colors.color(role)).setZValue(1)


def _towards(start: QPointF, goal: QPointF, distance: float) -> QPointF:
    """The point `distance` from `start` towards `goal`, but no further than half-way."""
    step = goal - start
    length = (step.x() ** 2 + step.y() ** 2) ** 0.5
    return start + step * min(distance / length, 0.5) if length else start
