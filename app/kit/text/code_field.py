"""A field for code: Tab indents, Enter keeps the indentation, and Escape followed by Tab leaves the field."""

from __future__ import annotations

from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QKeyEvent, QTextCursor
from PySide6.QtWidgets import QTextEdit, QWidget

from terrarium.app.kit.text.code_editor import CodeEditor
from terrarium.app.kit.text.text_box import highlight
from terrarium.app.kit.theme import ThemeProvider

_INDENT = "    "
_EDITED = Qt.TextInteractionFlag.TextEditorInteraction
_READ = Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard


class CodeField(CodeEditor):
    """Python code that can be edited, with at most one line marked as wrong."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(theme, parent)
        self._leaves = False  # whether Escape was the last key: Tab then moves the focus
        self.marked_line = 0
        self.set_editable(True)
        theme.theme_changed.connect(lambda: self.mark_line(self.marked_line))

    def set_editable(self, editable: bool) -> None:
        """Let the user edit the text, or only read, select and copy it."""
        self.setReadOnly(not editable)
        self.setTextInteractionFlags(_EDITED if editable else _READ)
        self.setTabChangesFocus(not editable)

    def mark_line(self, number: int) -> None:
        """Underline a line, counted from 1; 0 for none."""
        self.marked_line = number
        block = self.document().findBlockByNumber(number - 1)
        marks: list[QTextEdit.ExtraSelection] = []
        if number and block.isValid():
            cursor = QTextCursor(block)
            cursor.movePosition(QTextCursor.MoveOperation.EndOfBlock, QTextCursor.MoveMode.KeepAnchor)
            marks.append(highlight(cursor, self._theme.theme.color("danger"), wrong=True))
        self.setExtraSelections(marks)

    def event(self, event: QEvent) -> bool:
        # Before the window's shortcuts and its Escape, which would close it while somebody is typing.
        is_key = isinstance(event, QKeyEvent) and event.type() == QEvent.Type.ShortcutOverride
        if is_key and event.key() == Qt.Key.Key_Escape and not self.isReadOnly():  # type: ignore[attr-defined]
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        leaves, self._leaves = self._leaves, False
        if self.isReadOnly():
            super().keyPressEvent(event)
        elif event.key() == Qt.Key.Key_Escape:
            self._leaves = True
        elif event.key() in (Qt.Key.Key_Tab, Qt.Key.Key_Backtab):
            is_back = event.key() == Qt.Key.Key_Backtab
            if leaves:
                self._leaves = True
                self.focusNextPrevChild(not is_back)
                self._leaves = False
            elif is_back or self.textCursor().hasSelection():
                self._shift_lines(-1 if is_back else 1)
            else:
                self.textCursor().insertText(_INDENT)
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and not event.modifiers():
            self._break_line()
        else:
            super().keyPressEvent(event)

    def focusNextPrevChild(self, next: bool) -> bool:
        # Qt asks this for Tab even in an editor that takes it, if the editor is in a dialog.
        return super().focusNextPrevChild(next) if self._leaves or self.isReadOnly() else False

    def _break_line(self) -> None:
        """Start a line with the indentation of this one, one step deeper after a colon."""
        cursor = self.textCursor()
        before = cursor.block().text()[: cursor.positionInBlock()]
        indent = before[: len(before) - len(before.lstrip(" "))]
        cursor.insertText("\n" + indent + (_INDENT if before.rstrip().endswith(":") else ""))
        self.ensureCursorVisible()

    def _shift_lines(self, direction: int) -> None:
        """Indent the selected lines by one step, or unindent them by up to one."""
        cursor = self.textCursor()
        first = self.document().findBlock(cursor.selectionStart())
        last = self.document().findBlock(max(cursor.selectionStart(), cursor.selectionEnd() - 1))
        edit = QTextCursor(first)
        edit.beginEditBlock()
        for number in range(first.blockNumber(), last.blockNumber() + 1):
            block = self.document().findBlockByNumber(number)
            edit.setPosition(block.position())
            if direction > 0:
                edit.insertText(_INDENT)
            else:
                text = block.text()
                n = min(len(_INDENT), len(text) - len(text.lstrip(" ")))
                edit.setPosition(block.position() + n, QTextCursor.MoveMode.KeepAnchor)
                edit.removeSelectedText()
        edit.endEditBlock()
