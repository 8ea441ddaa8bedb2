"""What is written in a pill and below it: in which fonts, how many pixels it takes, and the drawing of it."""

from __future__ import annotations

from PySide6.QtCore import QRect, Qt
from PySide6.QtGui import QColor, QFontMetrics, QPainter

from app.kit.theme import ThemeProvider
from models.tokenizers import Piece

_PAD = 5  # pixels inside a pill's ends


class PillWords:
    """A token's text and, where `show_ids`, its id; made anew when the theme changes.

    Attributes:
        metrics: of the font of the text.
        pill_height, row_height: pixels of a pill, and from one row of them to the next.
    """

    def __init__(self, theme: ThemeProvider, *, show_ids: bool) -> None:
        self._colors, self._show_ids = theme.theme, show_ids
        self._font, self._id_font = theme.mono_font(), theme.mono_font(0.78)
        self.metrics, self._id_metrics = QFontMetrics(self._font), QFontMetrics(self._id_font)
        self.pill_height = self.metrics.height() + 4
        self.row_height = self.pill_height + (self._id_metrics.height() if show_ids else 0) + 6
        self._widths: dict[tuple[str, int], int] = {}

    def width(self, piece: Piece) -> int:
        """The pixels that a token's pill needs for all of its words; measured once for each token."""
        key = (piece.display, piece.id if self._show_ids else -1)
        width = self._widths.get(key)
        if width is None:
            text = self.metrics.horizontalAdvance(piece.display) + 2 * _PAD
            id_width = self._id_metrics.horizontalAdvance(str(piece.id)) + 4 if self._show_ids else 0
            width = self._widths[key] = max(text, id_width)
        return width

    def paint(self, painter: QPainter, rect: QRect, piece: Piece) -> None:
        """Write a token into its pill, shortened where the pill is narrower than it, and its id below."""
        colors = self._colors
        painter.setFont(self._font)
        painter.setPen(QColor(colors.text if piece.special else colors.pill_text))
        text = self.metrics.elidedText(piece.display, Qt.TextElideMode.ElideMiddle, rect.width() - _PAD)
        painter.drawText(rect, Qt.AlignmentFlag.AlignCenter, text)
        if self._show_ids:
            painter.setFont(self._id_font)
            painter.setPen(QColor(colors.muted))
            below = QRect(rect.left(), rect.bottom() + 1, rect.width(), self._id_metrics.height())
            painter.drawText(below, Qt.AlignmentFlag.AlignCenter, str(piece.id))
