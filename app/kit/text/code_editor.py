"""A read-only code view with syntax highlighting and line numbers."""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable

from PySide6.QtCore import QRect, QSize, Qt, Slot
from PySide6.QtGui import QFont, QPainter, QPaintEvent, QResizeEvent, QSyntaxHighlighter, QTextDocument
from PySide6.QtWidgets import QFrame, QPlainTextEdit, QWidget

from terrarium.app.kit.layout.whole_rows import cut_row
from terrarium.app.kit.text.highlighter import Highlighter
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
