"""The style of step drawings: fonts, colours, pills and notes."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QFontMetricsF, QPainter, QPen

from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.kit.tokens.glyphs import Glyphs

PAD, GAP, MARGIN = 6.0, 4.0, 14.0
"""Pixels: padding in a pill, gap between columns, margin of a drawing."""

_RADIUS = 5.0


class DrawingStyle:
    """Fonts, colours and painting shared by the drawings; recreated when the theme changes."""

    def __init__(self, theme: ThemeProvider) -> None:
        self.colors = theme.theme
        self.font, self.small, self.plain = theme.mono_font(), theme.mono_font(0.8), theme.font(0.85)
        self._metrics, self._small_metrics = QFontMetricsF(self.font), QFontMetricsF(self.small)
        self._glyphs = Glyphs(self.font)
        self.pill_height = self._metrics.height() + 6
        self.small_height = self._small_metrics.height()
        self.text_height = QFontMetricsF(self.plain).height()

    def width(self, text: str) -> float:
        """Return the width of a token's text."""
        return self._metrics.horizontalAdvance(self.drawable(text))

    def drawable(self, text: str) -> str:
        """Return a token's text with an escape in place of each character that no font has."""
        return self._glyphs.drawable(text)

    def small_width(self, text: str) -> float:
        """Return the width of small text beside a pill."""
        return self._small_metrics.horizontalAdvance(text)

    def pill(
        self,
        painter: QPainter,
        rect: QRectF,
        text: str,
        *,
        fill: str = "",
        edge: str = "",
        role: str = "pill_text",
        seen: QRectF | None = None,
    ) -> QRectF:
        """Paint a token, and return the rectangle of its text.

        `fill`, `edge` and `role` (of the text) are colours of the theme, "" for none. seen: the visible area, in which
        the text of a longer pill is placed.
        """
        painter.setBrush(self.colors.color(fill) if fill else Qt.BrushStyle.NoBrush)
        painter.setPen(self.pen(edge, 2 if edge == "accent" else 1) if edge else Qt.PenStyle.NoPen)
        inset = 1.0 if edge == "accent" else 0.5
        painter.drawRoundedRect(rect.adjusted(inset, inset, -inset, -inset), _RADIUS, _RADIUS)
        painter.setFont(self.font)
        painter.setPen(self.colors.color(role))
        inside = rect if seen is None else self._visible_part(rect, seen, text)
        shown = self._metrics.elidedText(self.drawable(text), Qt.TextElideMode.ElideMiddle, rect.width() - 2)
        painter.drawText(inside, Qt.AlignmentFlag.AlignCenter, shown)
        return inside

    def _visible_part(self, rect: QRectF, seen: QRectF, text: str) -> QRectF:
        """Return the visible part of a pill, but at least wide enough for its text."""
        width = min(self.width(text) + 2 * PAD, rect.width())
        left = min(max(rect.left(), seen.left()), rect.right() - width)
        right = max(min(rect.right(), seen.right()), left + width)
        return QRectF(left, rect.top(), right - left, rect.height())

    def note(self, painter: QPainter, centre: QPointF, text: str, role: str = "muted", ground: str = "") -> QRectF:
        """Paint small text centred at a point, on an opaque `ground`; return its rectangle."""
        rect = self.note_rect(centre, text)
        if ground:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(self.colors.color(ground))
            painter.drawRoundedRect(rect, 3, 3)
        painter.setFont(self.small)
        painter.setPen(self.colors.color(role))
        painter.drawText(rect, Qt.AlignmentFlag.AlignCenter, text)
        return rect

    def note_rect(self, centre: QPointF, text: str) -> QRectF:
        """Return the rectangle that `note` uses for a text."""
        width, height = self.small_width(text) + 8, self.small_height
        return QRectF(centre.x() - width / 2, centre.y() - height / 2, width, height)

    def sentence(self, painter: QPainter, origin: QPointF, width: float, text: str) -> None:
        """Paint plain text with its top left corner at `origin`, elided to `width`."""
        painter.setFont(self.plain)
        painter.setPen(self.colors.color("muted"))
        shown = QFontMetricsF(self.plain).elidedText(text, Qt.TextElideMode.ElideRight, width)
        rect = QRectF(origin.x(), origin.y(), width, self.text_height)
        painter.drawText(rect, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, shown)

    def pen(self, role: str, width: float = 1.0, style: Qt.PenStyle = Qt.PenStyle.SolidLine) -> QPen:
        """Return a pen in a colour of the theme."""
        return QPen(self.colors.color(role), width, style, Qt.PenCapStyle.RoundCap, Qt.PenJoinStyle.RoundJoin)


def alternate(i: int) -> str:
    """Return the fill of the i-th of adjacent tokens."""
    return "pill_b" if i % 2 else "pill_a"
