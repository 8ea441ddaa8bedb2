"""The Decode view: pasted ids as tokens and text, with a list of invalid entries."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PySide6.QtCore import QEvent, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QGuiApplication, QTextCursor
from PySide6.QtWidgets import QAbstractItemView, QCheckBox, QListWidget, QListWidgetItem, QWidget
from tokenizers import Tokenizer

from terrarium.app.kit.basics import (
    EmptyState,
    button,
    column,
    frame,
    group,
    label,
    panes,
    row,
    show_words,
    splitter,
    stacked,
)
from terrarium.app.kit.inputs import named
from terrarium.app.kit.text.text_box import TextBox, TruncationNote, highlight
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.kit.tokens.token_view import TokenView
from terrarium.app.tokenizer.encoder import Encoder
from terrarium.app.tokenizer.text_offsets import TextOffsets, utf16_units
from terrarium.app.worker.background import LatestTask
from terrarium.app.worker.failures import Failure
from terrarium.models.number_words import format_count
from terrarium.models.tokenizers.text.decoding import DecodedIds, IdProblem, decode_ids
from terrarium.models.tokenizers.text.encoded import EncodedText

MAX_SYNC_CHARACTERS = 8_000
"""Input of up to this many characters is decoded synchronously; longer input in the background."""
_PATIENCE_MS = 150
_PER_LINE = 1_000  # ids of a text per line: Qt cannot lay out lines of millions
_HINT = """\
Paste ids in any form:

15 2 874 30
[15, 2, 874, 30]
{"input_ids": [15, 2, 874, 30]}
or one per line"""
_MIN_ROWS, _MAX_ROWS = 2, 6


class _Result(NamedTuple):
    """The decoded input. offsets: None unless the tokens tile the text."""

    decoded: DecodedIds
    offsets: TextOffsets | None


class DecodeView(QWidget):
    """The ids on the left, their tokens and text on the right, with linked highlighting.

    Signals:
        text_requested(text): the user wants to explore this text.
    """

    text_requested = Signal(str)

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._tokenizer: Tokenizer | None = None
        self._text = ""
        self._offsets: TextOffsets | None = None
        self.result: DecodedIds | None = None
        self.ids = _IdBox(theme)
        self.view = TokenView(theme)
        self.output = named(TextBox(), "Text of the ids")
        self.skip_special = QCheckBox("Leave out special tokens")
        self.counts = label("", "caption")
        self.truncation = label("", "caption", wrap=True)
        tip = "Insert the ids of your text to edit them"
        self.take = button("Insert text's ids", theme, self.take_ids, icon="arrow-square-down", tip=tip)
        tip = "Explore this text instead of the current one"
        self.use = button("Use as text", theme, self.on_use, icon="arrow-square-up", tip=tip)
        self._task = LatestTask(self)
        self._encoder = Encoder(self)
        self._patience = QTimer(self, singleShot=True, interval=_PATIENCE_MS)
        self._patience.timeout.connect(lambda: self._forget(self._busy))
        self._build()
        self.ids.edited.connect(self._decode)
        self.ids.position_changed.connect(self._on_position)
        self.skip_special.toggled.connect(self._decode)
        self._task.done.connect(self._show)
        self._task.failed.connect(self._on_failed)
        self._encoder.encoded.connect(self._on_encoded)
        self.view.hovered.connect(self._point)
        self.view.picked.connect(self._point)
        theme.theme_changed.connect(self._point)
        self._decode()

    def _build(self) -> None:
        self.output.setReadOnly(True)
        self.output.setProperty("role", "mono")
        self.skip_special.setToolTip("As most programs do when they show model output")
        copy = button("Copy", self._theme, self.copy_text, icon="copy", role="quiet", tip="Copy the text")
        left = group(row(label("Ids", "subheading"), None, self.take), self.ids, grows=self.ids)
        self._title = label("Tokens", "subheading")
        pills = frame("card", self.view, margin=4)
        upper = group(row(self._title, self.counts, None), pills, grows=pills)
        head = row(label("Text", "subheading"), None, self.skip_special, copy, self.use)
        lower = group(head, self.output, self.truncation, grows=self.output)
        self._hint = EmptyState(
            "No ids yet",
            "Paste the output of a model or program, or insert the ids of your text and edit them. "
            "Their tokens and text appear here.",
        )
        self._busy = EmptyState("Decoding…", "Many ids take a moment.")
        self._problem = label("", "error", wrap=True)
        self._found = splitter(upper, lower, sizes=(400, 260), vertical=True)
        self._pages = stacked(self._hint, self._busy, self._problem, self._found)
        self.setLayout(panes(left, self._pages, sizes=(360, 720), grows=1))

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.StyleChange:
            self._title.setMinimumHeight(self.take.sizeHint().height())  # as high as the row on the left

    def set_tokenizer(self, tokenizer: Tokenizer | None, name: str) -> None:
        """Decode with this tokenizer."""
        self._tokenizer = tokenizer
        self._update_take_button()
        self._decode()

    def set_text(self, text: str) -> None:
        """Set the text of the tab, whose ids can be inserted."""
        self._text = text
        self._update_take_button()

    def take_ids(self) -> None:
        """Insert and decode the ids of the text of the tab."""
        if self._tokenizer is not None:
            self._encoder.encode(self._tokenizer, self._text)

    def _update_take_button(self) -> None:
        self.take.setEnabled(self._tokenizer is not None and bool(self._text))

    @Slot(str, object, object)
    def _on_encoded(self, _: str, tokens: EncodedText, __: TextOffsets) -> None:
        parts = (tokens.ids[start : start + _PER_LINE].tolist() for start in range(0, len(tokens), _PER_LINE))
        self.ids.editor.set_text("\n".join(" ".join(map(str, part)) for part in parts))

    # -- ids to text ---------------------------------------------------------------------------------------------------

    @Slot()
    def _decode(self) -> None:
        self._task.cancel()
        self._patience.stop()
        tokenizer, written, skip = self._tokenizer, self.ids.text, self.skip_special.isChecked()
        if tokenizer is None or not written.strip():
            self._forget(self._hint)
        elif len(written) <= MAX_SYNC_CHARACTERS:
            self._show(_work(tokenizer, written, skip))
        else:
            self.result, self._offsets = None, None
            self._patience.start()
            self._task.ask(lambda: _work(tokenizer, written, skip))

    def _forget(self, page: QWidget) -> None:
        self.result, self._offsets = None, None
        self.view.set_pieces(())
        self.ids.set_decoded(None)
        self._pages.setCurrentWidget(page)

    @Slot(object)
    def _show(self, result: _Result) -> None:
        self._patience.stop()
        self.result, self._offsets = result
        decoded = self.result
        self.ids.set_decoded(decoded)
        self.view.set_pieces(decoded.tokens)
        self.output.set_text(decoded.text)
        self.output.setReadOnly(True)  # set_text makes shorter texts editable
        self.use.setEnabled(bool(decoded.text))
        n, characters = len(decoded.tokens), len(decoded.text)
        counts = [format_count(n, "id"), format_count(characters, "character")]
        if decoded.n_left_out:
            counts.append(f"{decoded.n_left_out:,} special left out of the text")
        self.counts.setText(" · ".join(counts))
        cut = f"Showing only the beginning of {characters:,} characters."
        show_words(self.truncation, cut if self.output.is_truncated else "")
        self._pages.setCurrentWidget(self._found)

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        self._patience.stop()
        self._problem.setText(failure.sentence)
        self._forget(self._problem)

    def copy_text(self) -> None:
        if self.result is not None:
            QGuiApplication.clipboard().setText(self.result.text)

    def on_use(self) -> None:
        if self.result is not None:
            self.text_requested.emit(self.result.text)

    # -- linked highlighting -------------------------------------------------------------------------------------------

    @Slot(int)
    def _on_position(self, position: int) -> None:
        """Mark the token of the id at the cursor."""
        if self.result is None or self.view.is_frozen or not len(self.result.tokens):
            return
        index = max(int(np.searchsorted(self.result.spans[:, 0], position, side="right")) - 1, 0)
        self.view.mark(range(index, index + 1))

    @Slot()
    def _point(self) -> None:
        index = self.view.current
        if self.result is None or index < 0:
            self.ids.point_at(None)
            self.output.setExtraSelections([])
            return
        start, end = self.result.spans[index].tolist()
        self.ids.point_at((start, end))
        marks = []
        if self._offsets is not None:
            tokens = self.result.tokens
            units = self._offsets.units(int(tokens.starts[index]), int(tokens.ends[index]))
            cursor = self.output.cursor_over(*units)
            marks = [highlight(cursor, self._theme.theme.color("selection"))] if cursor is not None else []
        self.output.setExtraSelections(marks)


def _work(tokenizer: Tokenizer, written: str, skip_special: bool) -> _Result:
    decoded = decode_ids(tokenizer, written, skip_special=skip_special)
    return _Result(decoded, TextOffsets(decoded.text) if decoded.tile_the_text else None)


class _IdBox(QWidget):
    """An editor for ids in various formats, above a list of its problems; a click on one selects the entry.

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
