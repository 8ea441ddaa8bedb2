"""A plain text editor that never stalls: it shows only the beginning of a text that is too long to lay out."""

from __future__ import annotations

from PySide6.QtCore import QMimeData, Signal, Slot
from PySide6.QtGui import QColor, QTextCharFormat, QTextCursor
from PySide6.QtWidgets import QPlainTextEdit, QTextEdit, QWidget

from terrarium.app.kit.basics import button, label, row
from terrarium.app.kit.theme import ThemeProvider

MAX_CHARACTERS, MAX_LINE_LENGTH = 500_000, 50_000
"""Above either limit, editing would lag behind typing (measured: 0.2 s per keystroke on a line of a million)."""

_SHOWN = 5_000


class TextBox(QPlainTextEdit):
    """An editor whose `text` may be longer than the part that is shown; it is read-only then.

    Signals:
        text_changed(): `text` has changed.
    """

    text_changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setTabChangesFocus(True)
        self._full_text: str | None = None
        self._last_text: str | None = ""
        self.textChanged.connect(self._on_edited)

    @property
    def text(self) -> str:
        """The whole text."""
        return self.toPlainText() if self._full_text is None else self._full_text

    @property
    def is_truncated(self) -> bool:
        """Whether only the beginning of the text is shown."""
        return self._full_text is not None

    def set_text(self, text: str) -> None:
        """Show `text`, or only its beginning if it is too long."""
        was_truncated, self._full_text = self.is_truncated, None
        if is_too_long(text):
            self._full_text = text
            self.blockSignals(True)
            self.setPlainText(text[:_SHOWN])
            self.blockSignals(False)
            self.setReadOnly(True)
            self._last_text = None
            self.text_changed.emit()
            return
        self.setReadOnly(False)
        if was_truncated and text == self.toPlainText():
            self.text_changed.emit()
        else:
            self.setPlainText(text)

    def edit_beginning(self) -> None:
        """Discard the hidden part, so that the rest can be edited."""
        if self._full_text is not None:
            self.set_text(self._full_text[:_SHOWN])

    def cursor_over(self, start: int, end: int) -> QTextCursor | None:
        """Return a cursor that selects the text between two Qt positions; None if that part is not shown."""
        if end >= self.document().characterCount():
            return None
        cursor = QTextCursor(self.document())
        cursor.setPosition(start)
        cursor.setPosition(end, QTextCursor.MoveMode.KeepAnchor)
        return cursor

    def insertFromMimeData(self, source: QMimeData) -> None:
        if not source.hasText():
            return
        pasted = source.text()
        if not is_too_long(pasted) and self.document().characterCount() + len(pasted) <= MAX_CHARACTERS:
            super().insertFromMimeData(source)
            return
        whole, cursor = self.toPlainText(), self.textCursor()
        units = whole.encode("utf-16-le", "surrogatepass")  # Qt counts positions in these
        before = units[: 2 * cursor.selectionStart()].decode("utf-16-le", "surrogatepass")
        after = units[2 * cursor.selectionEnd() :].decode("utf-16-le", "surrogatepass")
        self.set_text(before + pasted + after)

    def _on_edited(self) -> None:
        """Report a changed text; Qt also signals changes of formatting, for instance with the theme."""
        if self._full_text is None and self.toPlainText() != self._last_text:
            self._last_text = self.toPlainText()
            self.text_changed.emit()


def is_too_long(text: str) -> bool:
    """Return whether a text is too long for smooth layout and editing."""
    if len(text) <= MAX_LINE_LENGTH:
        return False
    return len(text) > MAX_CHARACTERS or max(map(len, text.split("\n"))) > MAX_LINE_LENGTH


def highlight(cursor: QTextCursor, color: QColor, *, wrong: bool = False) -> QTextEdit.ExtraSelection:
    """Highlight a cursor's selection with a background colour; if `wrong`, with a text colour and a wavy underline."""
    look = QTextCharFormat()
    if wrong:
        look.setForeground(color)
        look.setUnderlineStyle(QTextCharFormat.UnderlineStyle.WaveUnderline)
        look.setUnderlineColor(color)
    else:
        look.setBackground(color)
    selection = QTextEdit.ExtraSelection()
    selection.cursor, selection.format = cursor, look
    return selection


class TruncationNote(QWidget):
    """A note below an editor that only the beginning of its text is shown, with a button that discards the rest.

    Hidden while the whole text can be edited.

    Args:
        why: what happens with the whole text, and why it is not shown: “all 9 characters {why}”.
    """

    def __init__(self, editor: TextBox, theme: ThemeProvider, why: str) -> None:
        super().__init__()
        self._editor, self._why = editor, why
        self._words = label("", "caption", wrap=True)
        tip = "Keep only the beginning of the text, to edit it"
        shorten = button("Edit the beginning", theme, editor.edit_beginning, role="quiet", tip=tip)
        self.setLayout(row(self._words, shorten))
        self.hide()
        editor.text_changed.connect(self._follow)

    @Slot()
    def _follow(self) -> None:
        self.setVisible(self._editor.is_truncated)
        if self._editor.is_truncated:
            self._words.setText(f"Only the beginning: all {len(self._editor.text):,} characters {self._why}.")
