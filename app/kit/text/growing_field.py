"""A text field as high as its text, within limits, that takes no more than a message may have."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QMimeData, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QPlainTextEdit

_MOST_LINES = 7
MOST_CHARACTERS = 100_000
"""Of one message: many times what a model of this program's sizes reads at once, and Qt still types smoothly in it."""


class GrowingField(QPlainTextEdit):
    """Grows from one line to a few. Enter asks to send, Shift+Enter makes a new line.

    Signals:
        send_pressed(): Enter without Shift.
        refused(sentence): what was pasted or dropped is too much; the field is as it was.
    """

    send_pressed = Signal()
    refused = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._hint = ""
        self.setTabChangesFocus(True)
        self.document().setDocumentMargin(1)
        self.document().documentLayout().documentSizeChanged.connect(self._fit)
        self._fit()

    def sizeHint(self) -> QSize:
        return QSize(300, self._height())

    def setPlaceholderText(self, text: str) -> None:
        """What the empty field says, in its one line: … where there is no room."""
        self._hint = text
        room = self.viewport().width() - 4
        super().setPlaceholderText(self.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, room))

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.setPlaceholderText(self._hint)

    def _height(self) -> int:
        # A QPlainTextEdit measures its document in lines.
        lines = min(max(round(self.document().size().height()), 1), _MOST_LINES)
        return lines * self.fontMetrics().lineSpacing() + 2 * round(self.document().documentMargin()) + 16

    def _fit(self) -> None:
        self.setFixedHeight(self._height())
        many = self.document().size().height() > _MOST_LINES
        bars = Qt.ScrollBarPolicy.ScrollBarAsNeeded if many else Qt.ScrollBarPolicy.ScrollBarAlwaysOff
        self.setVerticalScrollBarPolicy(bars)

    def insertFromMimeData(self, source: QMimeData) -> None:
        text = source.text()
        stays = self.document().characterCount() - 1 - len(self.textCursor().selectedText())
        if stays + len(text) > MOST_CHARACTERS:
            self.refused.emit(
                f"That text has {len(text):,} characters, and a message takes up to {MOST_CHARACTERS:,}: paste a "
                "part of it. Your message is as it was, and the text is still where you copied it from."
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
