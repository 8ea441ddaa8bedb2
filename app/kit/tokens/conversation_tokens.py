"""The tokens of a conversation, coloured by role, with each turn on a new row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetrics, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.kit.tokens.token_view import TokenView
from terrarium.models.chat.tokens import ChatTokens
from terrarium.models.tokenizers import Piece

ROLE_COLOURS = {"system": "key", "user": "query", "assistant": "value"}
"""Role of a message -> colour role of the theme."""

_GOES_ON = "the model replies here"
_FAINT = 0.35

ROLE_WORDS = {"system": "System", "user": "User", "assistant": "Assistant"}

_SWATCH = 10


class ChatTokenView(TokenView):
    """The tokens of a conversation as pills; tokens in the training loss are underlined, omitted messages are faint."""

    _chat: ChatTokens | None = None
    _roles: Sequence[str] = ()
    _underlined = False

    def set_chat(self, chat: ChatTokens | None, roles: Sequence[str], *, underline: bool = False) -> None:
        """Show a conversation, or None. roles: of its messages. underline: whether to underline replies."""
        self._chat, self._roles, self._underlined = chat, (*roles, "assistant"), underline
        self.set_pieces(() if chat is None else chat.tokens)

    def _line_ends(self) -> NDArray[np.bool]:
        ends = super()._line_ends()
        if self._chat is not None and len(ends):
            ends[:-1] |= np.diff(self._chat.messages) > 0
        return ends

    @property
    def _asks(self) -> bool:
        """Whether the conversation ends with a generation prompt."""
        return self._chat is not None and self._chat.counts[-1] > 0

    def _paint_ground(self, painter: QPainter, index: int, piece: Piece, shape: QRectF) -> None:
        assert self._chat is not None
        message = int(self._chat.messages[index])
        painter.setOpacity(_FAINT if message in self._chat.left_out else 1)
        role = ROLE_COLOURS[self._roles[message]]
        colors = self._theme.theme
        strong = 0.5 if colors.dark else 0.32
        if piece.special:
            painter.setPen(QPen(colors.color(role), 1, Qt.PenStyle.DashLine))
            painter.setBrush(Qt.BrushStyle.NoBrush)
        else:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(colors.color(role, strong if index % 2 == 0 else strong / 2))
        painter.drawRoundedRect(shape, 4, 4)
        if self._underlined and self._chat.is_reply[index]:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(colors.accent))
            painter.drawRoundedRect(QRectF(shape.left() + 1, shape.bottom() - 2, shape.width() - 2, 3), 1.5, 1.5)

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if not self._asks:
            return
        last = self.pill_rect(len(self.pieces) - 1)
        width = self._words.metrics.horizontalAdvance(_GOES_ON) + 16
        place = QRect(last.right() + 8, last.top(), width, last.height())
        painter = QPainter(self.viewport())
        painter.setFont(self._theme.font())
        painter.setPen(QColor(self._theme.theme.accent))
        painter.drawText(place, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, f"▸ {_GOES_ON}")
        painter.end()


class RoleLegend(QWidget):
    """A legend of roles and their colours."""

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
