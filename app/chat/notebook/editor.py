"""One editable text, in which what a model wrote is marked, token by token; undo takes back a whole writing."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QMimeData, QPoint, QRect, Qt, Signal
from PySide6.QtGui import (
    QHelpEvent,
    QInputMethodEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QTextCharFormat,
    QTextCursor,
)
from PySide6.QtWidgets import QPlainTextEdit, QTextEdit, QToolTip, QWidget

from app.chat.notebook.file import Piece
from app.chat.notebook.marks import NotebookColours, fragments, look_of, pieces_of, place_of, token_of
from app.glass.tokens.colours import token_facts
from app.kit.theme import ThemeProvider

MOST_CHARACTERS, LONGEST_LINE = 200_000, 20_000
"""Above, Qt no longer types smoothly."""
_ARROWS = (Qt.Key.Key_Left, Qt.Key.Key_Right, Qt.Key.Key_Up, Qt.Key.Key_Down)


class NotebookEditor(QPlainTextEdit):
    """A text whose pieces know who wrote them.

    Signals:
        hovered(index): the pointer is on this token of the current writing, -1 for none.
        pressed(index): this token of the current writing was clicked.
        walked(index): the arrow keys have led the text cursor before this token of the current writing.
        released(): Esc was pressed.
        refused(sentence): what was pasted is too much; the text is as it was.
    """

    hovered = Signal(int)
    pressed = Signal(int)
    walked = Signal(int)
    released = Signal()
    refused = Signal(str)

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self.writing = 0
        """Which writing of the model the tokens that can be pointed at are of."""
        self._hovered = -1
        self.outlined: QTextCursor | None = None
        self._outline = 1
        self._colours = NotebookColours(self.document(), theme)
        self.setAccessibleName("Notebook")
        self.viewport().setMouseTracking(True)

    # -- its pieces ----------------------------------------------------------------------------------------------------

    @property
    def text(self) -> str:
        """The whole text."""
        return self.toPlainText()

    def pieces(self) -> list[Piece]:
        """The text by who wrote it; neighbours that a person wrote are one."""
        found: list[Piece] = []
        block = self.document().begin()
        while block.isValid():
            found += pieces_of(block)
            if block.next().isValid():
                found.append(Piece("\n"))
            block = block.next()
        joined: list[Piece] = []
        for piece in found:
            if joined and piece.token is None and joined[-1].token is None:
                joined[-1] = Piece(joined[-1].text + piece.text)
            else:
                joined.append(piece)
        return joined

    def set_pieces(self, pieces: Sequence[Piece]) -> None:
        """Show another text, which is no step that can be undone."""
        self.document().setUndoRedoEnabled(False)
        self.clear()
        cursor = QTextCursor(self.document())
        cursor.beginEditBlock()
        for i, piece in enumerate(pieces):
            cursor.insertText(piece.text, look_of(piece.token, -1, i) if piece.token is not None else QTextCharFormat())
        cursor.endEditBlock()
        self.document().setUndoRedoEnabled(True)

    def write(self, pieces: Sequence[Piece], index: int, *, goes_on: bool) -> None:
        """Add tokens of the current writing at the end, the first of which is number `index`.

        Args:
            goes_on: one undo takes them back together with what was done before.
        """
        bar = self.verticalScrollBar()
        at_end = bar.value() >= bar.maximum() - 2
        cursor = QTextCursor(self.document())
        cursor.movePosition(QTextCursor.MoveOperation.End)
        if goes_on:
            cursor.joinPreviousEditBlock()
        else:
            cursor.beginEditBlock()
        for i, piece in enumerate(pieces, start=index):
            assert piece.token is not None
            cursor.insertText(piece.text, look_of(piece.token, self.writing, i))
        cursor.endEditBlock()
        if at_end:
            bar.setValue(bar.maximum())

    def cut_from(self, index: int) -> bool:
        """Take away all from a token of the current writing on, as one step to be undone; whether it is there."""
        place = self._place_of(index)
        if place is None:
            return False
        cursor = QTextCursor(self.document())
        cursor.setPosition(place)
        cursor.movePosition(QTextCursor.MoveOperation.End, QTextCursor.MoveMode.KeepAnchor)
        cursor.removeSelectedText()
        return True

    def text_before(self, index: int) -> str | None:
        """The text before a token of the current writing; None where that is gone."""
        place = self._place_of(index)
        if place is None:
            return None
        cursor = QTextCursor(self.document())
        cursor.setPosition(place, QTextCursor.MoveMode.KeepAnchor)
        return cursor.selection().toPlainText()

    def _place_of(self, index: int) -> int | None:
        block = self.document().begin()
        while block.isValid():
            for fragment in fragments(block):
                look = fragment.charFormat()
                if place_of(look) == (self.writing, index):
                    return fragment.position()
            block = block.next()
        return None

    # -- how it looks --------------------------------------------------------------------------------------------------

    def set_quantity(self, quantity: str) -> None:
        """Colour tokens by one of QUANTITIES; "": mark what a model wrote."""
        self._colours.set_quantity(quantity)

    def set_unread(self, n_characters: int) -> None:
        """Show the first characters faint: the model no longer reads them."""
        marks = []
        if n_characters:
            selection = QTextEdit.ExtraSelection()
            selection.cursor = QTextCursor(self.document())
            n_units = len(self.text[:n_characters].encode("utf-16-le", "surrogatepass")) // 2  # Qt counts these
            selection.cursor.setPosition(n_units, QTextCursor.MoveMode.KeepAnchor)
            look = QTextCharFormat()
            look.setForeground(self._theme.theme.color("faint"))
            selection.format = look
            marks.append(selection)
        self.setExtraSelections(marks)

    def outline(self, index: int, *, locked: bool) -> None:
        """Draw a frame around a token of the current writing, a thick one where it is `locked`; -1 for around none."""
        place = self._place_of(index) if index >= 0 else None
        self.outlined, self._outline = None, 2 if locked else 1
        if place is not None:
            self.outlined = cursor = QTextCursor(self.document())  # goes along with the text that is written before it
            cursor.setPosition(place)
            while not cursor.atBlockEnd():
                cursor.movePosition(QTextCursor.MoveOperation.NextCharacter, QTextCursor.MoveMode.KeepAnchor)
                if place_of(cursor.charFormat()) != (self.writing, index):
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
        frame = QRect(first.left(), first.top(), last.left() - first.left(), first.height())
        if first.top() == last.top():
            painter.drawRect(frame)
        else:  # the token goes on in the next line
            painter.drawRect(frame.adjusted(0, 0, self.viewport().width(), 0))
            painter.drawRect(QRect(-2, last.top(), last.left() + 2, last.height()))
        painter.end()

    # -- input: what a person writes is never marked as a model's ------------------------------------------------------

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
            index = self._index_of(self._look_after(self.textCursor()))
            if index >= 0:
                self.walked.emit(index)

    def inputMethodEvent(self, event: QInputMethodEvent) -> None:
        if not self.textCursor().hasSelection():
            self.setCurrentCharFormat(QTextCharFormat())
        super().inputMethodEvent(event)

    def insertFromMimeData(self, source: QMimeData) -> None:
        text = source.text()
        longest = max(map(len, text.split("\n")))
        if self.document().characterCount() + len(text) > MOST_CHARACTERS or longest > LONGEST_LINE:
            what = f"a line of {longest:,}" if longest > LONGEST_LINE else f"{len(text):,}"
            most = f"lines of up to {LONGEST_LINE:,}" if longest > LONGEST_LINE else f"up to {MOST_CHARACTERS:,}"
            self.refused.emit(
                f"That text has {what} characters, and the notebook takes {most}: paste a part of it. The notebook is "
                "as it was, and the text is still where you copied it from."
            )
        elif text:
            self.insert_text(text)

    def insert_text(self, text: str) -> None:
        cursor = self.textCursor()
        cursor.insertText(text, QTextCharFormat())
        self.setTextCursor(cursor)
        self.ensureCursorVisible()

    # -- the pointer ---------------------------------------------------------------------------------------------------

    def _look_at(self, point: QPoint) -> QTextCharFormat | None:
        """How the character under a point looks; None beside the text."""
        cursor = self.cursorForPosition(point)
        rect = self.cursorRect(cursor)
        if abs(point.y() - rect.center().y()) > rect.height():
            return None
        return self._look_after(cursor) if point.x() >= rect.x() else cursor.charFormat()

    def _look_after(self, cursor: QTextCursor) -> QTextCharFormat | None:
        """How the character after a cursor looks; None at a line's end."""
        if cursor.atBlockEnd():
            return None
        cursor = QTextCursor(cursor)
        cursor.movePosition(QTextCursor.MoveOperation.NextCharacter)  # `charFormat` is of the one before
        return cursor.charFormat()

    def _index_of(self, look: QTextCharFormat | None) -> int:
        """The token of the current writing that looks like this; -1 for none."""
        writing, index = place_of(look) if look is not None else (-1, -1)
        return index if writing == self.writing else -1

    def _index_at(self, point: QPoint) -> int:
        return self._index_of(self._look_at(point))

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
            look = self._look_at(event.pos())
            token = token_of(look) if look is not None else None
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
