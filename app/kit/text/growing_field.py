"""A text field that grows with its text, with a maximum length."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QMimeData, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QPlainTextEdit

_MAX_LINES = 7
MAX_CHARACTERS = 100_000
"""The limit of one message: many times the context of the models here, and Qt still edits it smoothly."""


class GrowingField(QPlainTextEdit):
    """A text field that grows from one line to a few. Enter sends, Shift+Enter inserts a line break.

    Signals:
        send_pressed(): Enter without Shift.
        refused(sentence): pasted or dropped text is too long; the field is unchanged.
    """

    send_pressed = Signal()
    refused = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._hint = ""
        self.setTabChangesFocus(True)
        self.document().setDocumentMargin(1)
        # Lines wrap, but a trailing space would show a scroll bar that hides the last line.
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.document().documentLayout().documentSizeChanged.connect(self._fit)
        self._fit()

    def sizeHint(self) -> QSize:
        return QSize(300, self._height())

    def setPlaceholderText(self, text: str) -> None:
        """Set the placeholder, elided to one line."""
        self._hint = text
        room = self.viewport().width() - 4
        super().setPlaceholderText(self.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, room))

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.setPlaceholderText(self._hint)

    def _height(self) -> int:
        # A QPlainTextEdit measures its document in lines.
        lines = min(max(round(self.document().size().height()), 1), _MAX_LINES)
        return lines * self.fontMetrics().lineSpacing() + 2 * round(self.document().documentMargin()) + 16

    def _fit(self) -> None:
        self.setFixedHeight(self._height())
        many = self.document().size().height() > _MAX_LINES
        bars = Qt.ScrollBarPolicy.ScrollBarAsNeeded if many else Qt.ScrollBarPolicy.ScrollBarAlwaysOff
        self.setVerticalScrollBarPolicy(bars)

    def insertFromMimeData(self, source: QMimeData) -> None:
        text = source.text()
        stays = self.document().characterCount() - 1 - len(self.textCursor().selectedText())
        if stays + len(text) > MAX_CHARACTERS:
            self.refused.emit(
                f"That text has {len(text):,} characters; a message can have up to {MAX_CHARACTERS:,}. Paste a "
                "part of it. Your message is unchanged."
            )
        elif text:
            self.insertPlainText(text)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._fit()
            self.setPlaceholderText(self._hint)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        enter = event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
        if enter and not event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            self.send_pressed.emit()
        else:
            super().keyPressEvent(event)
