"""The tokens of a conversation: each turn in the colour of who speaks, from where it begins on a row of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QRect, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen

from app.kit.tokens.token_view import TokenView
from models.chat.tokens import ChatTokens
from models.tokenizers import Piece

ROLE_COLOURS = {"system": "key", "user": "query", "assistant": "value"}
"""Who speaks -> the theme's colour for it."""

_GOES_ON = "the model goes on here"
_FAINT = 0.35


ROLE_WORDS = {"system": "System", "user": "User", "assistant": "Assistant"}


class ChatTokenView(TokenView):
    """Pills of a conversation; what the model learns to write is underlined, what a chat leaves out is faint."""

    _chat: ChatTokens | None = None
    _roles: Sequence[str] = ()
    _underlined = False

    def set_chat(self, chat: ChatTokens | None, roles: Sequence[str], *, underline: bool = False) -> None:
        """Show a conversation whose messages have these roles; None for none."""
        self._chat, self._roles, self._underlined = chat, (*roles, "assistant"), underline
        self.set_pieces(() if chat is None else chat.tokens)

    def _line_ends(self) -> NDArray[np.bool]:
        ends = super()._line_ends()
        if self._chat is not None and len(ends):
            ends[:-1] |= np.diff(self._chat.messages) > 0
        return ends

    @property
    def _asks(self) -> bool:
        """Whether the last tokens ask for a reply."""
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
        last = self._pill_rect(len(self._pieces) - 1)
        width = self._words.metrics.horizontalAdvance(_GOES_ON) + 16
        place = QRect(last.right() + 8, last.top(), width, last.height())
        painter = QPainter(self.viewport())
        painter.setFont(self._theme.font())
        painter.setPen(QColor(self._theme.theme.accent))
        painter.drawText(place, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, f"▸ {_GOES_ON}")
        painter.end()
