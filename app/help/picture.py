"""Paints the small picture of a glossary entry."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QFontMetrics, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QSizePolicy, QWidget

from terrarium.app.help.pictures import Bars, Lines, Picture
from terrarium.app.kit.theme import SPACE, ThemeProvider

_HEIGHT = 84
"""The height of the drawing without captions, in pixels at the default text size."""
_ROLES = ("accent", "warning", "muted")
"""The colours of the lines; each line is also named."""


class PictureView(QWidget):
    """Shows a picture."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._picture: Picture | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        theme.theme_changed.connect(self.updateGeometry)

    def show_picture(self, picture: Picture | None, name: str) -> None:
        """Show a picture, or None for nothing; screen readers read `name`."""
        self._picture = picture
        self.setAccessibleName(f"Picture of {name}")
        self.setVisible(picture is not None)
        self.update()

    @property
    def picture(self) -> Picture | None:
        """The shown picture."""
        return self._picture

    def sizeHint(self) -> QSize:
        return QSize(240, round(_HEIGHT * self._theme.text_scale) + self._caption_height)

    @property
    def _caption_height(self) -> int:
        return QFontMetrics(self._theme.font(0.85)).height() + SPACE // 2

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(self._theme.font(0.85))
        below = self._caption_height
        place = QRectF(self.rect()).adjusted(1, 2, -1, -below)
        if isinstance(self._picture, Bars):
            self._paint_bars(painter, place, self._picture)
        elif isinstance(self._picture, Lines):
            self._paint_lines(painter, place, self._picture)

    def _paint_bars(self, painter: QPainter, place: QRectF, bars: Bars) -> None:
        colors = self._theme.theme
        between = 2.0 * SPACE
        width = (place.width() - between * (len(bars.groups) - 1)) / len(bars.groups)
        highest = max(height for group in bars.groups for height in group.heights)
        for i, group in enumerate(bars.groups):
            left, top = place.left() + i * (width + between), highest if bars.one_scale else max(group.heights)
            step = width / len(group.heights)
            painter.setPen(Qt.PenStyle.NoPen)
            for k, (height, is_kept) in enumerate(zip(group.heights, group.kept, strict=True)):
                tall = place.height() * height / top
                painter.setBrush(colors.color("accent" if is_kept else "border_strong"))
                painter.drawRect(QRectF(left + k * step, place.bottom() - tall, step - 2, tall))
            painter.setPen(colors.color("muted"))
            words = QRectF(left, place.bottom(), width, self._caption_height)
            painter.drawText(words, Qt.AlignmentFlag.AlignCenter, group.caption)

    def _paint_lines(self, painter: QPainter, place: QRectF, lines: Lines) -> None:
        colors = self._theme.theme
        values = [y for line in lines.lines.values() for y in line]
        low, high = min(values), max(values)
        painter.setPen(colors.color("border_strong"))
        painter.drawLine(place.bottomLeft(), place.bottomRight())
        for role, line in zip(_ROLES, lines.lines.values(), strict=False):
            painter.setPen(QPen(colors.color(role), 2))
            points = [
                QPointF(
                    place.left() + place.width() * i / (len(line) - 1),
                    place.bottom() - (place.height() - 2) * (y - low) / (high - low),
                )
                for i, y in enumerate(line)
            ]
            painter.drawPolyline(QPolygonF(points))
        self._name_lines(painter, place, lines)

    def _name_lines(self, painter: QPainter, place: QRectF, lines: Lines) -> None:
        """Draw the names in the colours of their lines, and the label of the x axis."""
        metrics, x, y = painter.fontMetrics(), place.left(), place.bottom() + self._caption_height / 2
        for role, name in zip(_ROLES, lines.lines, strict=False):
            painter.setPen(self._theme.theme.color(role))
            painter.drawText(QPointF(x, y + metrics.ascent() / 2), name)
            x += metrics.horizontalAdvance(name) + 1.5 * SPACE
        painter.setPen(self._theme.theme.color("muted"))
        words = f"{lines.x} →" + (" (sketch)" if lines.is_sketch else "")
        right = QRectF(x, place.bottom(), place.right() - x, self._caption_height)
        painter.drawText(right, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, words)
