"""Views of code with syntax highlighting and line numbers: one to read, and one to edit."""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable

from PySide6.QtCore import QEvent, QRect, QSize, Qt, Slot
from PySide6.QtGui import (
    QFont,
    QKeyEvent,
    QPainter,
    QPaintEvent,
    QResizeEvent,
    QSyntaxHighlighter,
    QTextCursor,
    QTextDocument,
)
from PySide6.QtWidgets import QFrame, QPlainTextEdit, QTextEdit, QWidget

from terrarium.app.kit.layout.relayout import cut_row
from terrarium.app.kit.text.highlighter import Highlighter
from terrarium.app.kit.text.text_box import highlight
from terrarium.app.kit.theme import SPACE, ThemeProvider

_TOKENS = re.compile(
    r"(?P<comment>\#.*)"
    r"|(?P<opening>\"\"\")"
    r"|(?P<text>[fr]?\"(?:\\.|[^\"\\])*\"|[fr]?'(?:\\.|[^'\\])*')"
    r"|(?P<number>\b\d[\d_]*\.?\d*(?:e[+-]?\d+)?\b)"
    r"|(?P<definition>(?<=\bdef )\w+|(?<=\bclass )\w+)"
    r"|(?P<decorator>@\w[\w.]*)"
    r"|(?P<constant>\b(?:True|False|None)\b)"
    rf"|(?P<keyword>\b(?:{'|'.join(word for word in keyword.kwlist if word not in ('True', 'False', 'None'))})\b)"
)
_ROLES = {
    "comment": "muted",
    "text": "accent",
    "number": "validation",
    "definition": "text",
    "decorator": "info",
    "constant": "validation",
    "keyword": "info",
}
_INSIDE = 1
"""The block state of a line that ends inside a docstring."""
_INDENT = "    "
_EDITED = Qt.TextInteractionFlag.TextEditorInteraction
_READ = Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard


class CodeColours(Highlighter):
    """Restrained syntax highlighting of Python in the theme's colours."""

    def __init__(self, document: QTextDocument, theme: ThemeProvider) -> None:
        super().__init__(document, theme, _ROLES)

    def restyle_formats(self) -> None:
        self.formats["definition"].setFontWeight(QFont.Weight.DemiBold)
        self.formats["comment"].setFontItalic(True)

    def highlightBlock(self, text: str) -> None:
        self.setCurrentBlockState(0)
        start = 0
        if self.previousBlockState() == _INSIDE:
            start = self._rest_of_docstring(text, 0, 0)
        while start < len(text) and (match := _TOKENS.search(text, start)) is not None:
            if match.lastgroup == "opening":
                start = self._rest_of_docstring(text, match.start(), match.end())
            else:
                self.setFormat(match.start(), match.end() - match.start(), self.formats[match.lastgroup or ""])
                start = match.end()

    def _rest_of_docstring(self, text: str, first: int, after_opening: int) -> int:
        """Colour a docstring from `first` to its end in this line; return where code continues."""
        end = text.find('"""', after_opening)
        stop = len(text) if end < 0 else end + 3
        if end < 0:
            self.setCurrentBlockState(_INSIDE)
        self.setFormat(first, stop - first, self.formats["text"])
        return stop


class CodeEditor(QPlainTextEdit):
    """A read-only view of code that can be selected and copied: Python, or the language that `colours` highlights."""

    def __init__(
        self,
        theme: ThemeProvider,
        parent: QWidget | None = None,
        *,
        colours: Callable[[QTextDocument, ThemeProvider], QSyntaxHighlighter] = CodeColours,
    ) -> None:
        super().__init__(parent)
        self._theme = theme
        self.setReadOnly(True)
        self.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.setTabChangesFocus(True)
        self.setProperty("role", "code")
        self._numbers = _LineNumbers(self)
        self._colours = colours(self.document(), theme)
        self.updateRequest.connect(self._on_update)
        theme.theme_changed.connect(self._restyle)
        self._restyle()

    def show_code(self, code: str) -> None:
        """Show `code`, keeping the scroll position, so that changes are visible in place."""
        if code == self.toPlainText():
            return
        line, column = self.verticalScrollBar().value(), self.horizontalScrollBar().value()
        self.setPlainText(code)
        self._make_room()
        self.verticalScrollBar().setValue(line)
        self.horizontalScrollBar().setValue(column)

    def set_numbers_shown(self, shown: bool) -> None:
        """Show or hide line numbers."""
        self._numbers.setVisible(shown)
        self._make_room()

    @property
    def gutter_width(self) -> int:
        """The width of the line numbers in pixels, 0 if hidden."""
        if self._numbers.isHidden():
            return 0
        return self.fontMetrics().horizontalAdvance("0") * max(3, len(str(self.blockCount()))) + 2 * SPACE

    def paint_numbers(self, painter: QPainter, area: QRect) -> None:
        """Draw the numbers of the visible lines."""
        painter.fillRect(area, self._theme.theme.color("surface"))
        painter.setPen(self._theme.theme.color("hint"))
        painter.setFont(self.font())
        block, height = self.firstVisibleBlock(), self.fontMetrics().height()
        top = round(self.blockBoundingGeometry(block).translated(self.contentOffset()).top())
        width = self.gutter_width - SPACE
        while block.isValid() and top <= area.bottom():
            box = QRect(0, top, width, height)
            painter.drawText(box, int(Qt.AlignmentFlag.AlignRight), str(block.blockNumber() + 1))
            top += round(self.blockBoundingRect(block).height())
            block = block.next()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._make_room()

    def _make_room(self) -> None:
        """Leave room for the line numbers, and end below a whole line."""
        row, margin = self.fontMetrics().height(), round(self.document().documentMargin())
        height = self.viewport().height() + self.viewportMargins().bottom() - margin
        cut = cut_row(height, row, row * self.blockCount())
        self.setViewportMargins(self.gutter_width, 0, 0, cut)
        inside = self.contentsRect()
        self._numbers.setGeometry(QRect(inside.left(), inside.top(), self.gutter_width, self.viewport().height()))

    @Slot(QRect, int)
    def _on_update(self, area: QRect, scrolled: int) -> None:
        if scrolled:
            self._numbers.scroll(0, scrolled)
        else:
            self._numbers.update(0, area.y(), self._numbers.width(), area.height())

    @Slot()
    def _restyle(self) -> None:
        self.setFont(self._theme.mono_font(0.95))
        # The window's style sheet sets a font for all widgets, which overrides setFont.
        self.document().setDefaultFont(self._theme.mono_font(0.95))
        self._make_room()


class _LineNumbers(QWidget):
    """The gutter of a CodeEditor."""

    def __init__(self, editor: CodeEditor) -> None:
        super().__init__(editor)
        self._editor = editor

    def sizeHint(self) -> QSize:
        return QSize(self._editor.gutter_width, 0)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        self._editor.paint_numbers(painter, event.rect())


class CodeField(CodeEditor):
    """Python code that can be edited, with at most one line marked as wrong.

    Tab indents, Enter keeps the indentation, and Escape followed by Tab leaves the field.
    """

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
