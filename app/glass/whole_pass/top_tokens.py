"""The likeliest tokens with their probabilities, as bars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from PySide6.QtCore import QRectF, QSize, Qt, Slot
from PySide6.QtGui import QFontMetrics, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.kit.theme import SPACE, ThemeProvider
from models.number_words import format_prob

_LONGEST = 110  # pixels of a token


class TokenBar(NamedTuple):
    """A token, its probability, what is written behind it ("" for nothing), and whether it is the one in focus."""

    word: str
    share: float
    more: str
    is_target: bool


class TopTokens(QWidget):
    """A line for each token: its text, a bar from 0 to 100 %, and the number."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self.bars: Sequence[TokenBar] = ()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        theme.theme_changed.connect(self._restyle)

    def show_bars(self, bars: Sequence[TokenBar]) -> None:
        """Show other tokens."""
        self.bars = bars
        self.setAccessibleName("Likeliest tokens: " + ", ".join(f"{bar.word} {format_prob(bar.share)}" for bar in bars))
        self._restyle()

    @Slot()
    def _restyle(self) -> None:
        self.updateGeometry()
        self.update()

    def _line(self) -> int:
        return QFontMetrics(self._theme.mono_font(0.9)).height() + 4

    def sizeHint(self) -> QSize:
        return QSize(260, self._line() * len(self.bars))

    def minimumSizeHint(self) -> QSize:
        return QSize(160, self._line() * len(self.bars))

    def paintEvent(self, event: QPaintEvent) -> None:
        painter, colors, line = QPainter(self), self._theme.theme, self._line()
        mono, plain = self._theme.mono_font(0.9), self._theme.font(0.9)
        words, numbers = QFontMetrics(mono), QFontMetrics(plain)
        left = min(max((words.horizontalAdvance(bar.word) for bar in self.bars), default=0), _LONGEST) + SPACE
        wide = max((numbers.horizontalAdvance(format_prob(bar.share)) for bar in self.bars), default=0)
        more = max((numbers.horizontalAdvance(bar.more) for bar in self.bars), default=0)
        more += SPACE if more else 0
        middle = Qt.AlignmentFlag.AlignVCenter
        for i, bar in enumerate(self.bars):
            row = QRectF(0, i * line, self.width(), line)
            painter.setFont(mono)
            painter.setPen(colors.color("text"))
            shown = words.elidedText(bar.word, Qt.TextElideMode.ElideRight, _LONGEST)
            painter.drawText(row, Qt.AlignmentFlag.AlignLeft | middle, shown)
            room = row.adjusted(left, 3, -(wide + more + SPACE), -3)
            painter.fillRect(room, colors.color("border", 0.7))
            room.setWidth(max(room.width() * bar.share, 1.0))
            painter.fillRect(room, colors.color("accent" if bar.is_target else "border_strong"))
            painter.setFont(plain)
            painter.setPen(colors.color("muted"))
            painter.drawText(row.adjusted(0, 0, -more, 0), Qt.AlignmentFlag.AlignRight | middle, format_prob(bar.share))
            painter.drawText(row, Qt.AlignmentFlag.AlignRight | middle, bar.more)
