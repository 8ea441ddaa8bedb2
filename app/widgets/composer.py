"""Where one writes: Enter sends, Shift+Enter makes a new line, and the button stops a reply that is being written."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QHBoxLayout, QPlainTextEdit, QWidget

from app.theme import SPACE, ThemeProvider
from app.widgets.basics import button

_MOST_LINES = 7


class Composer(QWidget):
    """A text field that grows with its text, beside a button that is Send or Stop.

    Signals:
        sent(text): the user sends this text; the field is empty then.
        stop_asked(): the user wants the reply to end.
    """

    sent = Signal(str)
    stop_asked = Signal()

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._can_send, self._replying = False, False
        self.field = _Field()
        self.field.setAccessibleName("Message")
        self.field.textChanged.connect(self._on_text_changed)
        self.field.send_pressed.connect(self._send)
        self.send = button("Send", theme, self._send, icon="paper-plane-right", role="primary", tip="Send (Enter)")
        self.stop = button("Stop", theme, self.stop_asked.emit, icon="stop", tip="End the reply here (Esc)")
        self.stop.setShortcut(Qt.Key.Key_Escape)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(SPACE)
        layout.addWidget(self.field, 1)
        for widget in (self.send, self.stop):
            widget.setMinimumHeight(self.field.height())
            layout.addWidget(widget, 0, Qt.AlignmentFlag.AlignBottom)
        self.set_state(can_send=False, replying=False)

    def set_state(self, *, can_send: bool, replying: bool) -> None:
        """Whether there is a model to send to, and whether it is writing."""
        self._can_send, self._replying = can_send, replying
        self.send.setVisible(not replying)
        self.stop.setVisible(replying)
        self._on_text_changed()

    def set_hint(self, text: str) -> None:
        """What the empty field says."""
        self.field.setPlaceholderText(text)

    def _on_text_changed(self) -> None:
        self.send.setEnabled(self._can_send and bool(self.field.toPlainText().strip()))

    def _send(self) -> None:
        text = self.field.toPlainText().strip()
        if text and self._can_send and not self._replying:
            self.field.clear()
            self.sent.emit(text)


class _Field(QPlainTextEdit):
    """Grows from one line to a few.

    Signals:
        send_pressed(): Enter without Shift.
    """

    send_pressed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setTabChangesFocus(True)
        self.document().setDocumentMargin(1)
        self.document().documentLayout().documentSizeChanged.connect(self._fit)
        self._fit()

    def sizeHint(self) -> QSize:
        return QSize(300, self._height())

    def _height(self) -> int:
        # A QPlainTextEdit measures its document in lines.
        lines = min(max(round(self.document().size().height()), 1), _MOST_LINES)
        return lines * self.fontMetrics().lineSpacing() + 2 * round(self.document().documentMargin()) + 16

    def _fit(self) -> None:
        self.setFixedHeight(self._height())
        many = self.document().size().height() > _MOST_LINES
        bars = Qt.ScrollBarPolicy.ScrollBarAsNeeded if many else Qt.ScrollBarPolicy.ScrollBarAlwaysOff
        self.setVerticalScrollBarPolicy(bars)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._fit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        enter = event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
        if enter and not event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            self.send_pressed.emit()
        else:
            super().keyPressEvent(event)
