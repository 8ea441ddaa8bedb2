"""A message being changed in its place: Enter keeps the change, Esc gives it up."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QKeyEvent, QTextCursor
from PySide6.QtWidgets import QVBoxLayout, QWidget

from app.kit.basics import button, label, row
from app.kit.text.growing_field import GrowingField
from app.kit.theme import SPACE, ThemeProvider


class MessageEditor(QWidget):
    """The text in a field, with what saving does as a button.

    Signals:
        saved(text): this is the new text, which is another than before.
        closed(): it is done with.
    """

    saved = Signal(str)
    closed = Signal()

    def __init__(self, theme: ThemeProvider, text: str, save: str, hint: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._before = text
        self.field = GrowingField()
        self.field.setAccessibleName("Edited message")
        self.field.setPlainText(text)
        self.field.moveCursor(QTextCursor.MoveOperation.End)
        self.problem = label("", "error", wrap=True)
        self.problem.hide()
        self.save = button(save, theme, self._save, role="primary", tip=f"{save} (Enter)")
        self.cancel = button("Cancel", theme, self.closed.emit, tip="Leave it as it was (Esc)")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(SPACE // 2)
        layout.addWidget(self.field)
        layout.addWidget(self.problem)
        hint_label = label(hint, "caption", wrap=True)
        line = row(hint_label, self.cancel, self.save)
        line.setStretch(0, 1)
        layout.addLayout(line)
        self.field.send_pressed.connect(self._save)
        self.field.refused.connect(self._say)
        self.field.textChanged.connect(self._on_changed)
        self._on_changed()

    @Slot()
    def _on_changed(self) -> None:
        self.problem.hide()
        self.save.setEnabled(bool(self.field.toPlainText().strip()))

    @Slot(str)
    def _say(self, sentence: str) -> None:
        self.problem.setText(sentence)
        self.problem.show()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            self.closed.emit()
        else:
            super().keyPressEvent(event)

    @Slot()
    def _save(self) -> None:
        text = self.field.toPlainText().strip()
        if text:
            self.closed.emit()
            if text != self._before.strip():
                self.saved.emit(text)
