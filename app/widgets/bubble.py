"""One message in a rounded box that is as large as its text, and grows while the text streams in."""

from __future__ import annotations

import math

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPalette, QPen, QTextCharFormat, QTextCursor, QTextOption
from PySide6.QtWidgets import QFrame, QSizePolicy, QTextEdit, QVBoxLayout, QWidget

from app.theme import ThemeProvider

_PAD_X, _PAD_Y = 14, 9


class Bubble(QWidget):
    """A message. `mine`: the user's own, in a soft colour. `lead`: what stands before the text, in a strong one."""

    def __init__(
        self, theme: ThemeProvider, *, mine: bool, text: str = "", lead: str = "", parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._theme, self._mine, self._lead = theme, mine, lead
        self._widest = 400
        self._text = _Text()
        self._text.setAccessibleName("Your message" if mine else "The model's reply")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(_PAD_X, _PAD_Y, _PAD_X, _PAD_Y)
        layout.addWidget(self._text)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        theme.theme_changed.connect(self._on_theme_changed)
        self.set_text(text)

    @property
    def text(self) -> str:
        """The message, without its lead."""
        return self._text.toPlainText()[len(self._lead) :]

    def set_text(self, text: str) -> None:
        """Show `text` instead, after the lead."""
        self._text.clear()
        cursor, look = QTextCursor(self._text.document()), QTextCharFormat()
        if self._lead:
            look.setForeground(self._theme.theme.color("accent"))
            cursor.insertText(self._lead, look)
        cursor.insertText(text, QTextCharFormat())
        self._fit()

    def append(self, text: str) -> None:
        """Add `text` at the end: one insert, whatever its length."""
        cursor = QTextCursor(self._text.document())
        cursor.movePosition(QTextCursor.MoveOperation.End)
        cursor.insertText(text, QTextCharFormat())
        self._fit()

    def set_widest(self, pixels: int) -> None:
        """Be at most `pixels` wide."""
        if pixels != self._widest:
            self._widest = pixels
            self._fit()

    def _fit(self) -> None:
        document = self._text.document()
        document.setTextWidth(-1)
        wanted = math.ceil(document.idealWidth()) + 1
        width = max(min(wanted, self._widest - 2 * _PAD_X), 8)
        document.setTextWidth(width)
        if wanted > width:  # wrapped: no wider than its longest line
            width = min(width, math.ceil(document.idealWidth()) + 1)
            document.setTextWidth(width)
        self._text.setFixedSize(width, math.ceil(document.size().height()))
        self.setFixedSize(width + 2 * _PAD_X, self._text.height() + 2 * _PAD_Y)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colors = self._theme.theme
        painter.setPen(QPen(colors.color("accent_line" if self._mine else "border"), 1))
        painter.setBrush(colors.color("accent_soft" if self._mine else "surface"))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 12, 12)
        painter.end()

    def _on_theme_changed(self) -> None:
        self.set_text(self.text)
        self.update()


class _Text(QTextEdit):
    """Text to read and copy: no frame, no scroll bars, no background of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.setReadOnly(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWordWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        self.setStyleSheet("QTextEdit { background: transparent; border: none; padding: 0; min-height: 0; }")
        self.viewport().setBackgroundRole(QPalette.ColorRole.NoRole)
        self.document().setDocumentMargin(0)
        self.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
