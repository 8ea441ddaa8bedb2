"""A plain text editor that never stalls: what is too much to lay out is held whole, and shown by its beginning."""

from __future__ import annotations

from PySide6.QtCore import QMimeData, Signal, Slot
from PySide6.QtGui import QColor, QTextCharFormat, QTextCursor
from PySide6.QtWidgets import QPlainTextEdit, QTextEdit, QWidget

from app.kit.basics import button, label, row
from app.kit.theme import ThemeProvider

MOST_CHARACTERS, LONGEST_LINE = 500_000, 50_000
"""Above either, each keystroke would take longer than a keystroke (measured: 0.2 s on a line of a million)."""

_SHOWN = 5_000


class TextBox(QPlainTextEdit):
    """An editor whose `text` may be longer than what is on screen; it cannot be typed into then.

    Signals:
        text_changed(): `text` is new.
    """

    text_changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._held: str | None = None
        self._told: str | None = ""
        self.textChanged.connect(self._on_edited)

    @property
    def text(self) -> str:
        """The whole text."""
        return self.toPlainText() if self._held is None else self._held

    @property
    def holds(self) -> bool:
        """Whether only the beginning of the text is shown."""
        return self._held is not None

    def set_text(self, text: str) -> None:
        """Show `text`, or hold it where it is too much."""
        was_holding, self._held = self.holds, None
        if is_too_much(text):
            self._held = text
            self.blockSignals(True)
            self.setPlainText(text[:_SHOWN])
            self.blockSignals(False)
            self.setReadOnly(True)
            self._told = None
            self.text_changed.emit()
            return
        self.setReadOnly(False)
        if was_holding and text == self.toPlainText():
            self.text_changed.emit()
        else:
            self.setPlainText(text)

    def edit_beginning(self) -> None:
        """Let go of what is held but not shown, so that the rest can be typed into."""
        if self._held is not None:
            self.set_text(self._held[:_SHOWN])

    def cursor_over(self, start: int, end: int) -> QTextCursor | None:
        """A cursor that selects what is between two of Qt's positions; None where that is held and not shown."""
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
        if not is_too_much(pasted) and self.document().characterCount() + len(pasted) <= MOST_CHARACTERS:
            super().insertFromMimeData(source)
            return
        whole, cursor = self.toPlainText(), self.textCursor()
        units = whole.encode("utf-16-le", "surrogatepass")  # Qt counts positions in these
        before = units[: 2 * cursor.selectionStart()].decode("utf-16-le", "surrogatepass")
        after = units[2 * cursor.selectionEnd() :].decode("utf-16-le", "surrogatepass")
        self.set_text(before + pasted + after)

    def _on_edited(self) -> None:
        """Qt tells of colours that are others, as when the theme changes, as it does of another text."""
        if self._held is None and self.toPlainText() != self._told:
            self._told = self.toPlainText()
            self.text_changed.emit()


def is_too_much(text: str) -> bool:
    """Whether a text is too long to be laid out and typed into."""
    if len(text) <= LONGEST_LINE:
        return False
    return len(text) > MOST_CHARACTERS or max(map(len, text.split("\n"))) > LONGEST_LINE


def highlight(cursor: QTextCursor, color: QColor, *, wrong: bool = False) -> QTextEdit.ExtraSelection:
    """What a cursor selects, on a ground of this colour; where `wrong`, written in it and underlined."""
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


class HeldNote(QWidget):
    """Says below an editor that it shows only the beginning of its text; its button lets go of the rest.

    Hidden while all of the text can be typed into.

    Args:
        why: what is done with all of it all the same, and why it is not shown: “all 9 characters {why}”.
    """

    def __init__(self, editor: TextBox, theme: ThemeProvider, why: str) -> None:
        super().__init__()
        self._editor, self._why = editor, why
        self._words = label("", "caption", wrap=True)
        tip = "Keep only the beginning of the text, which can be typed into"
        shorten = button("Edit the beginning", theme, editor.edit_beginning, role="quiet", tip=tip)
        self.setLayout(row(self._words, shorten))
        self.hide()
        editor.text_changed.connect(self._follow)

    @Slot()
    def _follow(self) -> None:
        self.setVisible(self._editor.holds)
        if self._editor.holds:
            self._words.setText(f"Only the beginning: all {len(self._editor.text):,} characters {self._why}.")
