"""The message field: Enter sends, Shift+Enter starts a new line, and the button stops a reply being generated."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, QObject, Qt, Signal, Slot
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QWidget

from terrarium.app.kit.basics import button, column, label, row, set_enabled
from terrarium.app.kit.inputs import named
from terrarium.app.kit.text.growing_field import GrowingField
from terrarium.app.kit.theme import SPACE, ThemeProvider


class Composer(QWidget):
    """A text field that grows with its text, beside a button that is Send or Stop.

    problem_of: called before a text is sent; returns why it cannot be sent as a sentence, "" if it can, or None if that
    is not known yet; then the text is checked again at the next `recheck`.

    Signals:
        sent(text): the user sends this text; the field has been cleared.
        stop_requested(): the user wants to stop the reply.
        edit_requested(): Up was pressed in the empty field, to edit the last message.
    """

    sent = Signal(str)
    stop_requested = Signal()
    edit_requested = Signal()

    def __init__(
        self,
        theme: ThemeProvider,
        problem_of: Callable[[str], str | None] = lambda text: "",
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._problem_of, self._waits = problem_of, False
        self._can_send, self._replying, self._why_not = False, False, ""
        self.field = named(GrowingField(), "Message")
        self.field.textChanged.connect(self._on_text_changed)
        self.field.send_pressed.connect(self._send)
        self.field.refused.connect(self._say)
        self.field.installEventFilter(self)
        self.problem = label("", "error", wrap=True)
        self.problem.hide()
        self.send = button("Send", theme, self._send, icon="paper-plane-right", role="primary")
        self.stop = button("Stop", theme, self.stop_requested.emit, icon="stop", tip="Stop the reply (Esc)")
        self.stop.setShortcut(Qt.Key.Key_Escape)
        line = row(self.field, grows=self.field)
        for widget in (self.send, self.stop):
            widget.setMinimumHeight(self.field.height())
            line.addWidget(widget, 0, Qt.AlignmentFlag.AlignBottom)
        self.setLayout(column(self.problem, line, spacing=SPACE // 2))
        self.set_state(can_send=False, replying=False)

    def set_state(self, *, can_send: bool, replying: bool, why_not: str = "") -> None:
        """Set whether a message can be sent, why not, and whether a reply is being generated."""
        self._can_send, self._replying, self._why_not = can_send, replying, why_not
        self.send.setVisible(not replying)
        self.stop.setVisible(replying)
        self._show_state()

    def set_hint(self, text: str) -> None:
        """Set the placeholder text."""
        self.field.setPlaceholderText(text)

    def _show_state(self) -> None:
        is_empty = self.field.document().isEmpty() or not self.field.toPlainText().strip()
        why_not = "" if self._can_send else self._why_not or "No model can reply now"
        set_enabled(self.send, why_not or ("Write something first" if is_empty else ""), "Send (Enter)")

    @Slot()
    def _on_text_changed(self) -> None:
        self._waits = False
        self.problem.hide()
        self._show_state()

    @Slot(str)
    def _say(self, sentence: str) -> None:
        self.problem.setText(sentence)
        self.problem.show()

    @Slot()
    def _send(self) -> None:
        text = self.field.toPlainText().strip()
        if not text or not self._can_send or self._replying:
            return
        problem = self._problem_of(text)
        self._waits = problem is None
        if problem:
            self._say(problem)
        elif not self._waits:
            self.field.clear()
            self.sent.emit(text)

    @Slot()
    def recheck(self) -> None:
        """Send a text that waits for its check."""
        if self._waits:
            self._send()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.StyleChange:
            for widget in (self.send, self.stop):  # both get the same width, as only one of the two is shown
                widget.setMinimumWidth(self.send.sizeHint().width())

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if (
            watched is self.field
            and isinstance(event, QKeyEvent)
            and event.type() == QEvent.Type.KeyPress
            and event.key() == Qt.Key.Key_Up
            and self.field.document().isEmpty()
        ):
            self.edit_requested.emit()
            return True
        return super().eventFilter(watched, event)
