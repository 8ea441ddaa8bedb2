"""A text editor that marks text written by a model, token by token; one undo removes a whole generation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

from PySide6.QtCore import QEvent, QMimeData, QPoint, QRect, Qt, Signal, Slot
from PySide6.QtGui import (
    QHelpEvent,
    QInputMethodEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QSyntaxHighlighter,
    QTextBlock,
    QTextBlockUserData,
    QTextCharFormat,
    QTextCursor,
    QTextDocument,
    QTextFormat,
    QTextFragment,
)
from PySide6.QtWidgets import QPlainTextEdit, QTextEdit, QToolTip, QWidget

from terrarium.app.chat.notebook.file import Segment, WrittenToken
from terrarium.app.glass.tokens.colours import QUANTITIES, Shades, token_facts
from terrarium.app.kit.theme import ThemeProvider

MAX_CHARACTERS, MAX_LINE_LENGTH = 200_000, 20_000
"""Typing in Qt becomes slow above these limits."""
_ARROWS = (Qt.Key.Key_Left, Qt.Key.Key_Right, Qt.Key.Key_Up, Qt.Key.Key_Down)
_FIRST = int(QTextFormat.Property.UserProperty.value)
_ID, _PROBABILITY, _ENTROPY, _RANK, _GENERATION, _INDEX = range(_FIRST, _FIRST + 6)


class NotebookEditor(QPlainTextEdit):
    """An editor whose text is stored in segments: tokens of a model, and runs of the user's text.

    Signals:
        hovered(index): the pointer is on this token of the current generation, −1 for none.
        pressed(index): this token of the current generation was clicked.
        walked(index): the arrow keys moved the text cursor before this token of the current generation.
        released(): Esc was pressed.
        refused(sentence): the pasted text is too long; nothing was changed.
    """

    hovered = Signal(int)
    pressed = Signal(int)
    walked = Signal(int)
    released = Signal()
    refused = Signal(str)

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self.setTabChangesFocus(True)
        self.generation = 0
        """The number of the current generation, whose tokens respond to the pointer."""
        self._hovered = -1
        self.outlined: QTextCursor | None = None
        self._outline = 1
        self._colours = _NotebookColours(self.document(), theme)
        self.setAccessibleName("Notebook")
        self.viewport().setMouseTracking(True)

    # -- segments ------------------------------------------------------------------------------------------------------

    @property
    def text(self) -> str:
        """The whole text."""
        return self.toPlainText()

    def segments(self) -> list[Segment]:
        """Return the text in segments: one for each token of a model, and one for each run of the user's text."""
        found: list[Segment] = []
        block = self.document().begin()
        while block.isValid():
            found += _segments_of(block)
            if block.next().isValid():
                found.append(Segment("\n"))
            block = block.next()
        joined: list[Segment] = []
        for segment in found:
            if joined and segment.token is None and joined[-1].token is None:
                joined[-1] = Segment(joined[-1].text + segment.text)
            else:
                joined.append(segment)
        return joined

    def set_segments(self, segments: Sequence[Segment]) -> None:
        """Replace the text; this cannot be undone."""
        self.document().setUndoRedoEnabled(False)
        self.clear()
        cursor = QTextCursor(self.document())
        cursor.beginEditBlock()
        for i, segment in enumerate(segments):
            cursor.insertText(
                segment.text,
                _token_char_format(segment.token, -1, i) if segment.token is not None else QTextCharFormat(),
            )
        cursor.endEditBlock()
        self.document().setUndoRedoEnabled(True)

    def write(self, segments: Sequence[Segment], index: int, *, joins_undo: bool) -> None:
        """Append tokens of the current generation; the first has the index `index`.

        Args:
            joins_undo: one undo removes them together with the previous change.
        """
        bar = self.verticalScrollBar()
        at_end = bar.value() >= bar.maximum() - 2
        cursor = QTextCursor(self.document())
        cursor.movePosition(QTextCursor.MoveOperation.End)
        if joins_undo:
            cursor.joinPreviousEditBlock()
        else:
            cursor.beginEditBlock()
        for i, segment in enumerate(segments, start=index):
            assert segment.token is not None
            cursor.insertText(segment.text, _token_char_format(segment.token, self.generation, i))
        cursor.endEditBlock()
        if at_end:
            bar.setValue(bar.maximum())

    def delete_from(self, index: int) -> bool:
        """Delete the text from a token of the current generation on, as one undoable step. Return whether the token
        exists.
        """
        position = self._position_of(index)
        if position is None:
            return False
        cursor = QTextCursor(self.document())
        cursor.setPosition(position)
        cursor.movePosition(QTextCursor.MoveOperation.End, QTextCursor.MoveMode.KeepAnchor)
        cursor.removeSelectedText()
        return True

    def text_before(self, index: int) -> str | None:
        """Return the text before a token of the current generation; None if the token no longer exists."""
        position = self._position_of(index)
        if position is None:
            return None
        cursor = QTextCursor(self.document())
        cursor.setPosition(position, QTextCursor.MoveMode.KeepAnchor)
        return cursor.selection().toPlainText()

    def _position_of(self, index: int) -> int | None:
        block = self.document().begin()
        while block.isValid():
            for fragment in _fragments(block):
                char_format = fragment.charFormat()
                if _token_key(char_format) == (self.generation, index):
                    return fragment.position()
            block = block.next()
        return None

    # -- appearance ----------------------------------------------------------------------------------------------------

    def set_quantity(self, quantity: str) -> None:
        """Colour tokens by one of QUANTITIES; "" only marks the text that a model wrote."""
        self._colours.set_quantity(quantity)

    def set_unread(self, n_characters: int) -> None:
        """Show the first `n_characters` characters faint: they do not fit the model's context."""
        marks = []
        if n_characters:
            selection = QTextEdit.ExtraSelection()
            selection.cursor = QTextCursor(self.document())
            n_units = len(self.text[:n_characters].encode("utf-16-le", "surrogatepass")) // 2  # Qt counts UTF-16 units
            selection.cursor.setPosition(n_units, QTextCursor.MoveMode.KeepAnchor)
            char_format = QTextCharFormat()
            char_format.setForeground(self._theme.theme.color("hint"))
            selection.format = char_format
            marks.append(selection)
        self.setExtraSelections(marks)

    def outline(self, index: int, *, locked: bool) -> None:
        """Draw a frame around a token of the current generation, a thick one if `locked`; −1 for none."""
        position = self._position_of(index) if index >= 0 else None
        self.outlined, self._outline = None, 2 if locked else 1
        if position is not None:
            self.outlined = cursor = QTextCursor(self.document())  # moves with text inserted before it
            cursor.setPosition(position)
            while not cursor.atBlockEnd():
                cursor.movePosition(QTextCursor.MoveOperation.NextCharacter, QTextCursor.MoveMode.KeepAnchor)
                if _token_key(cursor.charFormat()) != (self.generation, index):
                    cursor.movePosition(QTextCursor.MoveOperation.PreviousCharacter, QTextCursor.MoveMode.KeepAnchor)
                    break
        self.viewport().update()

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if self.outlined is None or not self.outlined.hasSelection():
            return
        start, end = QTextCursor(self.outlined), QTextCursor(self.outlined)
        start.setPosition(self.outlined.selectionStart())
        end.setPosition(self.outlined.selectionEnd())
        first, last = self.cursorRect(start), self.cursorRect(end)
        painter = QPainter(self.viewport())
        painter.setPen(QPen(self._theme.theme.color("text"), self._outline))
        left = first.left() - 1  # beside the letters, since a dot is hardly wider than the line
        frame = QRect(left, first.top(), last.left() - left, first.height())
        if first.top() == last.top():
            painter.drawRect(frame)
        else:  # the token continues on the next line
            painter.drawRect(frame.adjusted(0, 0, self.viewport().width(), 0))
            painter.drawRect(QRect(-2, last.top(), last.left() + 2, last.height()))
        painter.end()

    # -- input: typed text is never marked as a model's ----------------------------------------------------------------

    def keyPressEvent(self, event: QKeyEvent) -> None:
        typed, keys = event.text(), Qt.KeyboardModifier
        plain = not event.modifiers() & (keys.ControlModifier | keys.AltModifier | keys.MetaModifier)
        if plain and typed.isprintable() and typed and not self.isReadOnly():
            self.insert_text(typed)
            return
        super().keyPressEvent(event)
        if event.key() == Qt.Key.Key_Escape:
            self.released.emit()
        elif event.key() in _ARROWS and not event.modifiers() & keys.ShiftModifier:
            index = self._index_of(self._format_after(self.textCursor()))
            if index >= 0:
                self.walked.emit(index)

    def inputMethodEvent(self, event: QInputMethodEvent) -> None:
        if not self.textCursor().hasSelection():
            self.setCurrentCharFormat(QTextCharFormat())
        super().inputMethodEvent(event)

    def insertFromMimeData(self, source: QMimeData) -> None:
        text = source.text()
        longest = max(map(len, text.split("\n")))
        if self.document().characterCount() + len(text) > MAX_CHARACTERS or longest > MAX_LINE_LENGTH:
            what = f"a line of {longest:,}" if longest > MAX_LINE_LENGTH else f"{len(text):,}"
            most = f"lines of up to {MAX_LINE_LENGTH:,}" if longest > MAX_LINE_LENGTH else f"up to {MAX_CHARACTERS:,}"
            self.refused.emit(
                f"That text has {what} characters, and the notebook takes {most}: paste a part of it. The notebook "
                "is unchanged."
            )
        elif text:
            self.insert_text(text)

    def insert_text(self, text: str) -> None:
        cursor = self.textCursor()
        cursor.insertText(text, QTextCharFormat())
        self.setTextCursor(cursor)
        self.ensureCursorVisible()

    # -- the pointer ---------------------------------------------------------------------------------------------------

    def _format_at(self, point: QPoint) -> QTextCharFormat | None:
        """Return the format of the character under a point; None beside the text."""
        cursor = self.cursorForPosition(point)
        rect = self.cursorRect(cursor)
        if abs(point.y() - rect.center().y()) > rect.height():
            return None
        return self._format_after(cursor) if point.x() >= rect.x() else cursor.charFormat()

    def _format_after(self, cursor: QTextCursor) -> QTextCharFormat | None:
        """Return the format of the character after a cursor; None at the end of a line."""
        if cursor.atBlockEnd():
            return None
        cursor = QTextCursor(cursor)
        cursor.movePosition(QTextCursor.MoveOperation.NextCharacter)  # charFormat is that of the character before
        return cursor.charFormat()

    def _index_of(self, char_format: QTextCharFormat | None) -> int:
        """Return the index of the token of the current generation stored in a format; −1 for none."""
        generation, index = _token_key(char_format) if char_format is not None else (-1, -1)
        return index if generation == self.generation else -1

    def _index_at(self, point: QPoint) -> int:
        return self._index_of(self._format_at(point))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        super().mouseMoveEvent(event)
        self._hover(self._index_at(event.position().toPoint()))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        super().mouseReleaseEvent(event)
        index = self._index_at(event.position().toPoint())
        if index >= 0 and event.button() == Qt.MouseButton.LeftButton and not self.textCursor().hasSelection():
            self.pressed.emit(index)

    def viewportEvent(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Leave:
            self._hover(-1)
        elif event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            char_format = self._format_at(event.pos())
            token = _token_from(char_format) if char_format is not None else None
            if token is not None and token.rank:
                words = token_facts(f"id {token.id}", token.probability, token.entropy, token.rank)
                QToolTip.showText(event.globalPos(), words, self.viewport())
            else:
                QToolTip.hideText()
            return True
        return super().viewportEvent(event)

    def _hover(self, index: int) -> None:
        if index != self._hovered:
            self._hovered = index
            self.hovered.emit(index)


def _fragments(block: QTextBlock) -> Iterator[QTextFragment]:
    """Yield the runs of a block that share one character format."""
    for part in cast("Iterable[Any]", block):
        yield part.fragment()


def _token_char_format(token: WrittenToken, generation: int, index: int) -> QTextCharFormat:
    """Return a character format that stores the token."""
    char_format = QTextCharFormat()
    values = (token.id, token.probability, token.entropy, token.rank, generation, index)
    for name, value in zip((_ID, _PROBABILITY, _ENTROPY, _RANK, _GENERATION, _INDEX), values, strict=True):
        char_format.setProperty(name, value)
    return char_format


def _token_from(char_format: QTextCharFormat) -> WrittenToken | None:
    """Return the token stored in a format; None for the user's text."""
    if not char_format.hasProperty(_ID):
        return None
    return WrittenToken(*(char_format.property(name) for name in (_ID, _PROBABILITY, _ENTROPY, _RANK)))


def _segments_of(block: QTextBlock) -> Sequence[Segment]:
    """Return the segments of a block, cached until the block changes."""
    known = block.userData()
    if not isinstance(known, _Known) or known.revision != block.revision():
        segments = [Segment(part.text(), _token_from(part.charFormat())) for part in _fragments(block)]
        known = _Known(block.revision(), segments)
        block.setUserData(known)
    return known.segments


class _Known(QTextBlockUserData):
    def __init__(self, revision: int, segments: Sequence[Segment]) -> None:
        super().__init__()
        self.revision, self.segments = revision, segments


def _token_key(char_format: QTextCharFormat) -> tuple[int, int]:
    """Return the (generation, index) of the token stored in a format; (−1, −1) for the user's text."""
    if not char_format.hasProperty(_ID):
        return -1, -1
    return char_format.property(_GENERATION), char_format.property(_INDEX)


class _NotebookColours(QSyntaxHighlighter):
    """Background colours for text that a model wrote; not part of the text, so undo ignores them."""

    def __init__(self, document: QTextDocument, theme: ThemeProvider) -> None:
        super().__init__(document)
        self._theme, self._quantity = theme, ""
        self._shades: Shades | None = None
        theme.theme_changed.connect(self._restyle)

    def set_quantity(self, quantity: str) -> None:
        self._quantity = quantity
        self._restyle()

    @Slot()
    def _restyle(self) -> None:
        self._shades = Shades(self._theme, QUANTITIES[self._quantity]) if self._quantity else None
        self.rehighlight()

    def highlightBlock(self, text: str) -> None:
        block = self.currentBlock()
        for fragment in _fragments(block):
            token = _token_from(fragment.charFormat())
            if token is not None:
                self.setFormat(fragment.position() - block.position(), fragment.length(), self._ground(token))

    def _ground(self, token: WrittenToken) -> QTextCharFormat:
        char_format = QTextCharFormat()
        if self._shades is None or not token.rank:
            char_format.setBackground(self._theme.theme.color("selection"))
            return char_format
        value = QUANTITIES[self._quantity].of(token.probability, token.entropy, token.rank)
        ground, words = self._shades.of(value)
        char_format.setBackground(ground)
        char_format.setForeground(words)
        return char_format
