"""How the parts of a step drawing look: fonts, colours, pills and the small words beside them."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QFontMetricsF, QPainter, QPen

from app.kit.theme import ThemeProvider

PAD, GAP, MARGIN = 6.0, 4.0, 14.0
"""Pixels inside a pill's ends, between columns, around a drawing."""

_RADIUS = 5.0


class DrawingStyle:
    """What the drawings share in one theme; made anew when the theme changes."""

    def __init__(self, theme: ThemeProvider) -> None:
        self.colors = theme.theme
        self.font, self.small, self.words = theme.mono_font(), theme.mono_font(0.8), theme.font(0.85)
        self._metrics, self._small_metrics = QFontMetricsF(self.font), QFontMetricsF(self.small)
        self.pill_height = self._metrics.height() + 6
        self.small_height = self._small_metrics.height()
        self.text_height = QFontMetricsF(self.words).height()

    def width(self, text: str) -> float:
        """The width of a token's text."""
        return self._metrics.horizontalAdvance(text)

    def small_width(self, text: str) -> float:
        """The width of small text beside a pill."""
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
        """A token. `fill`, `edge` and `role` (of the text) are fields of the theme, "" for none.

        `seen`: where the text has to be to be seen, if the pill reaches beyond. Gives where it stands.
        """
        painter.setBrush(self.colors.color(fill) if fill else Qt.BrushStyle.NoBrush)
        painter.setPen(self.pen(edge, 2 if edge == "accent" else 1) if edge else Qt.PenStyle.NoPen)
        inset = 1.0 if edge == "accent" else 0.5
        painter.drawRoundedRect(rect.adjusted(inset, inset, -inset, -inset), _RADIUS, _RADIUS)
        painter.setFont(self.font)
        painter.setPen(self.colors.color(role))
        place = rect if seen is None else self._place(rect, seen, text)
        shown = self._metrics.elidedText(text, Qt.TextElideMode.ElideMiddle, rect.width() - 2)
        painter.drawText(place, Qt.AlignmentFlag.AlignCenter, shown)
        return place

    def _place(self, rect: QRectF, seen: QRectF, text: str) -> QRectF:
        """The part of a pill that is seen, made wide enough for its text."""
        width = min(self.width(text) + 2 * PAD, rect.width())
        left = min(max(rect.left(), seen.left()), rect.right() - width)
        right = max(min(rect.right(), seen.right()), left + width)
        return QRectF(left, rect.top(), right - left, rect.height())

    def note(self, painter: QPainter, centre: QPointF, text: str, role: str = "muted", ground: str = "") -> QRectF:
        """Small text around a point, on a `ground` that hides what lies below; gives where it stands."""
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
        """Where `note` puts a text."""
        width, height = self.small_width(text) + 8, self.small_height
        return QRectF(centre.x() - width / 2, centre.y() - height / 2, width, height)

    def sentence(self, painter: QPainter, place: QPointF, width: float, text: str) -> None:
        """Plain words whose upper left corner is `place`, cut off with … where they are wider than `width`."""
        painter.setFont(self.words)
        painter.setPen(self.colors.color("muted"))
        shown = QFontMetricsF(self.words).elidedText(text, Qt.TextElideMode.ElideRight, width)
        rect = QRectF(place.x(), place.y(), width, self.text_height)
        painter.drawText(rect, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, shown)

    def pen(self, role: str, width: float = 1.0, style: Qt.PenStyle = Qt.PenStyle.SolidLine) -> QPen:
        """A pen in a colour of the theme."""
        return QPen(self.colors.color(role), width, style, Qt.PenCapStyle.RoundCap, Qt.PenJoinStyle.RoundJoin)


def alternate(i: int) -> str:
    """The fill of the i-th of tokens that lie side by side."""
    return "pill_b" if i % 2 else "pill_a"
