"""Which colour stands for whom in the tokens of a conversation."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QFontMetrics, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.kit.theme import SPACE, ThemeProvider
from app.kit.tokens.conversation_tokens import ROLE_COLOURS, ROLE_WORDS

_SWATCH = 10


class RoleLegend(QWidget):
    """A swatch and a word for each role."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Colours: " + ", ".join(ROLE_WORDS.values()))
        theme.theme_changed.connect(self.update)

    def sizeHint(self) -> QSize:
        metrics = QFontMetrics(self._theme.font(0.92))
        width = sum(metrics.horizontalAdvance(words) + _SWATCH + 3 * SPACE for words in ROLE_WORDS.values())
        return QSize(width, metrics.height() + 4)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(self._theme.font(0.92))
        colors, metrics = self._theme.theme, QFontMetrics(self._theme.font(0.92))
        x, middle = 0, self.height() // 2
        for role, words in ROLE_WORDS.items():
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(colors.color(ROLE_COLOURS[role], 0.5 if colors.dark else 0.32))
            painter.drawRoundedRect(x, middle - _SWATCH // 2, _SWATCH, _SWATCH, 3, 3)
            x += _SWATCH + SPACE
            painter.setPen(colors.color("muted"))
            painter.drawText(
                x, 0, metrics.horizontalAdvance(words) + 2, self.height(), Qt.AlignmentFlag.AlignVCenter, words
            )
            x += metrics.horizontalAdvance(words) + 2 * SPACE
        painter.end()
