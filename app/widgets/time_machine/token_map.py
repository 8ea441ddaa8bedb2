"""A heat map whose rows and columns are tokens, written beside and above it."""

from __future__ import annotations

import math

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QFontMetrics, QPainter
from PySide6.QtWidgets import QWidget

from app.pictures import Axis, HeatPicture
from app.theme import SPACE, ThemeProvider
from app.widgets.heat_map import HeatMap

_LONGEST = 9
"""Characters of a token that there is room for."""


class TokenMap(HeatMap):
    """Where there is no room for all tokens, every second, third … is written; that under the pointer always is."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(theme, parent)
        self.setMinimumSize(150, 140)

    def set_picture(self, picture: HeatPicture) -> None:
        """Show another table; the same cell stays read out where both are of one size."""
        spot = self.spot
        is_alike = self.picture is not None and self.picture.values.shape == picture.values.shape
        super().set_picture(picture)
        if is_alike:
            self.set_spot(spot)

    def _token_metrics(self) -> QFontMetrics:
        return QFontMetrics(self._theme.mono_font(0.82))

    def _room(self) -> QRectF:
        metrics, picture = self._token_metrics(), self.picture
        tokens = [words for _, words in picture.x.ticks] if picture is not None else []
        longest = max((metrics.horizontalAdvance(token) for token in tokens), default=0)
        label = min(longest, _LONGEST * metrics.horizontalAdvance("0")) + SPACE
        bar = 3 * SPACE + QFontMetrics(self._theme.font(0.9)).horizontalAdvance("100 %")
        wide, high = self.width() - label - bar, self.height() - label - 2
        return QRectF(label, label, max(wide, 1.0), max(high, 1.0))

    def _draw_frame(self, painter: QPainter, room: QRectF, title: str, x: Axis, y: Axis) -> None:
        """Tokens of the rows at the left, those of the columns on top, read upwards."""
        painter.setFont(self._theme.mono_font(0.82))
        n, longest = len(x.ticks), int(room.left() - SPACE / 2)
        step = room.height() / max(n, 1)
        every = max(1, math.ceil(0.92 * self._token_metrics().height() / max(step, 1e-9)))
        for i, (_, words) in enumerate(x.ticks):
            text = self._token_metrics().elidedText(words, Qt.TextElideMode.ElideRight, longest)
            in_row, in_column = self.spot is not None and self.spot[1] == i, self.spot is not None and self.spot[0] == i
            if in_row or self._is_written(i, every, self.spot[1] if self.spot is not None else None):
                self._draw_token(painter, text, room.left() - SPACE / 2, room.top() + (i + 0.5) * step, 0, in_row)
            if in_column or self._is_written(i, every, self.spot[0] if self.spot is not None else None):
                self._draw_token(painter, text, room.left() + (i + 0.5) * step, room.top() - SPACE / 2, 90, in_column)

    def _is_written(self, i: int, every: int, read: int | None) -> bool:
        """Whether there is room for number `i`: it is its turn, and the one that is read out is not too near."""
        return i % every == 0 and (read is None or abs(i - read) >= every)

    def _draw_token(self, painter: QPainter, text: str, x: float, y: float, angle: int, is_read: bool) -> None:
        """Write a token so that it ends at a point (for 90°: begins there, upwards)."""
        height = self._token_metrics().height()
        painter.save()
        painter.translate(x, y)
        painter.rotate(-angle)
        painter.setPen(self._theme.theme.color("text" if is_read else "muted"))
        left, side = (0.0, Qt.AlignmentFlag.AlignLeft) if angle else (-1000.0, Qt.AlignmentFlag.AlignRight)
        painter.drawText(QRectF(left, -height / 2, 1000, height), side | Qt.AlignmentFlag.AlignVCenter, text)
        painter.restore()
