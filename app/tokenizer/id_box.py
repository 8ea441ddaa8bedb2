"""An input box for ids in various formats; invalid entries are underlined, and listed below."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QTextCursor
from PySide6.QtWidgets import QAbstractItemView, QListWidget, QListWidgetItem, QWidget

from terrarium.app.kit.basics import column, frame, label
from terrarium.app.kit.inputs import named
from terrarium.app.kit.text.text_box import TextBox, TruncationNote, highlight
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.tokenizer.text_offsets import utf16_units
from terrarium.models.tokenizers.text.decoding import DecodedIds, IdProblem

_HINT = """\
Paste ids in any form:

15 2 874 30
[15, 2, 874, 30]
{"input_ids": [15, 2, 874, 30]}
or one per line"""
_MIN_ROWS, _MAX_ROWS = 2, 6


class IdBox(QWidget):
    """An editor above a list of its problems; a click on a problem selects the entry.

    Signals:
        edited(): `text` has changed.
        position_changed(int): the new position of the cursor, in characters.
    """

    edited = Signal()
    position_changed = Signal(int)

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._problem_cursors: list[QTextCursor | None] = []
        self._pointed: tuple[int, int] | None = None
        self.editor = named(TextBox(), "Ids")
        self.editor.setProperty("role", "mono")
        self.editor.setPlaceholderText(_HINT)
        self.editor.setTabChangesFocus(True)
        self.problem_title = label("", "subheading")
        self.list = named(QListWidget(), "Invalid ids")
        self.list.setProperty("role", "plain")
        self.list.setWordWrap(True)
        self.list.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.problems = frame("card", self.problem_title, self.list, margin=SPACE, spacing=SPACE // 2)
        self.problems.hide()
        note = TruncationNote(self.editor, theme, "are decoded, but are too many to edit")
        self.setLayout(column(self.editor, note, self.problems, grows=self.editor))
        self.editor.text_changed.connect(self.edited)
        self.editor.cursorPositionChanged.connect(self._on_cursor_moved)
        self.list.itemClicked.connect(self._on_item)
        self.list.itemActivated.connect(self._on_item)
        theme.theme_changed.connect(self._underline)

    @property
    def text(self) -> str:
        """The whole input."""
        return self.editor.text

    def set_decoded(self, decoded: DecodedIds | None) -> None:
        """List the problems of the input; None while unknown."""
        problems: tuple[IdProblem, ...] = () if decoded is None else decoded.problems
        self._problem_cursors = [self._cursor(problem.start, problem.end) for problem in problems]
        self._pointed = None
        self.list.clear()
        self.list.addItems([problem.sentence for problem in problems])
        self.problems.setVisible(bool(problems))
        if decoded is not None and problems:
            n, shown = decoded.n_problems, len(problems)
            words = "1 is not an id" if n == 1 else f"{n:,} are not ids"
            self.problem_title.setText(words if n == shown else f"{words}; first {shown:,}")
            rows = min(max(shown, _MIN_ROWS), _MAX_ROWS)
            self.list.setFixedHeight(rows * max(self.list.sizeHintForRow(0), 24) + 4)
        self._underline()

    def point_at(self, span: tuple[int, int] | None) -> None:
        """Highlight a range of characters; None for none."""
        self._pointed = span
        self._underline()

    @Slot()
    def _on_cursor_moved(self) -> None:
        if self.editor.hasFocus():
            before = self.editor.textCursor().position()
            text = self.editor.toPlainText()
            if not text.isascii():
                before = len(text.encode("utf-16-le", "surrogatepass")[: 2 * before].decode("utf-16-le", "replace"))
            self.position_changed.emit(before)

    @Slot(QListWidgetItem)
    def _on_item(self, item: QListWidgetItem) -> None:
        cursor = self._problem_cursors[self.list.row(item)]
        if cursor is not None:
            self.editor.setTextCursor(cursor)
            self.editor.setFocus()

    @Slot()
    def _underline(self) -> None:
        colors = self._theme.theme
        marks = [
            highlight(each, colors.color("danger"), wrong=True) for each in self._problem_cursors if each is not None
        ]
        pointed = None if self._pointed is None else self._cursor(*self._pointed)
        if pointed is not None:
            marks.append(highlight(pointed, colors.color("selection")))
        self.editor.setExtraSelections(marks)

    def _cursor(self, start: int, end: int) -> QTextCursor | None:
        """Return a cursor that selects these characters; None if they are not in the editor."""
        text = self.editor.text
        first = utf16_units(text[:start])
        return self.editor.cursor_over(first, first + utf16_units(text[start:end]))
