"""A painted reliability diagram: accuracy by confidence with intervals, and below it how often each confidence is."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QWidget

from terrarium.app.glass.calibration.calibration_sentence import format_interval
from terrarium.app.kit.plots.figure import Figure
from terrarium.app.kit.plots.pictures import Axis
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.models.metrics.calibration import Reliability, ReliabilityBin
from terrarium.models.number_words import format_count, format_percent

_TICKS = tuple((share, format_percent(share)) for share in (0.0, 0.25, 0.5, 0.75, 1.0))
_ROLES = ("accent", "query")
"""The colours of the curves, in order."""
_STRIP, _DOT, _NEAR = 44, 4.0, 14.0  # pixels: the height of the histogram, and radii


class ReliabilityCurve(Figure):
    """Up to two reliability curves, such as before and after temperature scaling, and the histogram of the first.

    what: what is predicted, as a noun: “token”.
    """

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(theme, parent)
        self.curves: Sequence[tuple[str, Reliability]] = ()
        """The names and the curves that are shown."""
        self._what = ""
        self.setMinimumHeight(300)

    def show_curves(self, curves: Sequence[tuple[str, Reliability]], what: str) -> None:
        """Show curves, each with its name. The keys read their points, one curve after the other."""
        self.set_spot(None)
        self.curves, self._what = curves, what
        names = " and ".join(name for name, _ in curves)
        self.setAccessibleName(f"Reliability curve, {names}: share of right answers by confidence. Arrow keys read it.")
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(400, 360)

    def _room(self) -> QRectF:
        room, metrics = super()._room(), self._metrics()
        room.setLeft(metrics.height() + metrics.horizontalAdvance("100 %") + 1.5 * SPACE)
        room.setRight(self.width() - 2 * SPACE)
        room.setBottom(room.bottom() - _STRIP - SPACE)
        return room

    @property
    def _points(self) -> list[tuple[int, ReliabilityBin]]:
        return [(i, each) for i, (_, curve) in enumerate(self.curves) for each in curve.bins]

    def _shape(self) -> tuple[int, int]:
        return len(self._points), 1

    @staticmethod
    def _at(room: QRectF, x: float, y: float) -> QPointF:
        return QPointF(room.left() + x * room.width(), room.bottom() - y * room.height())

    def point_at(self, i: int) -> QPointF:
        """Return where a point is drawn, counted over all curves."""
        each = self._points[i][1]
        return self._at(self._room(), each.confidence, each.accuracy.value)

    def spot_at(self, point: QPointF) -> tuple[int, int] | None:
        apart = [(self.point_at(i) - point).manhattanLength() for i in range(len(self._points))]
        nearest = min(range(len(apart)), key=apart.__getitem__, default=None)
        return None if nearest is None or apart[nearest] > _NEAR else (nearest, 0)

    def _words(self, spot: tuple[int, int]) -> str:
        i, each = self._points[spot[0]]
        said, right = format_percent(each.confidence, 1), format_percent(each.accuracy.value, 1)
        interval = format_interval(each.accuracy, 0)
        words = f"{self.curves[i][0]}: {format_count(each.n, self._what)}\nsaid {said}, right {right}"
        return f"{words} ({interval})" if interval else words

    def paintEvent(self, event: QPaintEvent) -> None:
        painter, colors, room = QPainter(self), self._theme.theme, self._room()
        y = Axis(title="How often it is right", low=0, high=1, ticks=_TICKS)
        self._draw_grid(painter, room, y)
        below = QRectF(room.left(), room.bottom() + SPACE, room.width(), _STRIP)
        self._draw_frame(painter, room, "", Axis(title="", low=0, high=1, ticks=((0.0, ""),)), y)
        self._draw_histogram(painter, below)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(colors.color("muted"), 1.2, Qt.PenStyle.DashLine))
        painter.drawLine(room.bottomLeft(), room.topRight())
        for i in reversed(range(len(self.curves))):
            self._draw_curve(painter, room, i)
        self._draw_legend(painter, room)
        self._draw_focus(painter, room)
        if self.spot is not None:
            at = self.point_at(self.spot[0])
            painter.setPen(QPen(colors.color("text"), 1.5))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawEllipse(at, _DOT + 3, _DOT + 3)
            self._draw_read_out(painter, at, self._words(self.spot))

    def _draw_histogram(self, painter: QPainter, area: QRectF) -> None:
        """Draw the shares of the confidences of the first curve below the plot, with the x axis."""
        colors, metrics = self._theme.theme, self._metrics()
        shares = self.curves[0][1].histogram if self.curves else ()
        wide = area.width() / max(len(shares), 1)
        for i, share in enumerate(shares):
            height = share / max(shares) * (area.height() - 2)
            bar = QRectF(area.left() + i * wide + 1, area.bottom() - height, wide - 2, height)
            painter.fillRect(bar, colors.color("faint", 0.6))
        painter.setPen(QPen(colors.color("border_strong"), 1))
        painter.drawLine(area.bottomLeft(), area.bottomRight())
        painter.setFont(self._theme.font(0.9))
        painter.setPen(colors.color("muted"))
        for share, words in _TICKS:
            half = metrics.horizontalAdvance(words) / 2 + 2
            at = min(area.left() + share * area.width(), self.width() - half)
            painter.drawText(
                QRectF(at - half, area.bottom() + 3, 2 * half, metrics.height()), Qt.AlignmentFlag.AlignCenter, words
            )
        title = QRectF(area.left(), area.bottom() + 3 + metrics.height(), area.width(), metrics.height())
        painter.drawText(title, Qt.AlignmentFlag.AlignCenter, "How sure the model is, and how often so")

    def _draw_curve(self, painter: QPainter, room: QRectF, i: int) -> None:
        """Draw the intervals, the line and the dots of a curve; those of the second one are hollow."""
        colors, bins = self._theme.theme, self.curves[i][1].bins
        points = [self._at(room, each.confidence, each.accuracy.value) for each in bins]
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(colors.color(_ROLES[i], 0.55), 1.5))
        for each, point in zip(bins, points, strict=True):
            if each.accuracy.interval is not None:
                low, high = (self._at(room, each.confidence, end).y() for end in each.accuracy.interval)
                painter.drawLine(QPointF(point.x(), low), QPointF(point.x(), high))
        painter.setPen(QPen(colors.color(_ROLES[i], 0.8), 1.5))
        painter.drawPolyline(QPolygonF(points))
        for point in points:
            self._draw_dot(painter, point, i)

    def _draw_dot(self, painter: QPainter, point: QPointF, i: int) -> None:
        colors = self._theme.theme
        painter.setPen(QPen(colors.color(_ROLES[i]), 1.5))
        painter.setBrush(colors.color("surface" if i else _ROLES[i]))
        painter.drawEllipse(point, _DOT, _DOT)

    def _draw_legend(self, painter: QPainter, room: QRectF) -> None:
        """Name the curves in the corner above the diagonal."""
        metrics, left = self._metrics(), room.left() + SPACE + _DOT
        painter.setFont(self._theme.font(0.9))
        for i, (name, _) in enumerate(self.curves):
            at = QPointF(left, room.top() + SPACE + (i + 0.5) * (metrics.height() + 2))
            self._draw_dot(painter, at, i)
            painter.setPen(self._theme.theme.color("text"))
            painter.drawText(at + QPointF(_DOT + SPACE, metrics.ascent() / 2 - 1), name)
