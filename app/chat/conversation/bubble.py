"""One message in a rounded box that is as large as its text, and grows while the text streams in."""

from __future__ import annotations

import math

from PySide6.QtCore import QEvent, QRectF, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPalette, QPen, QTextCharFormat, QTextCursor, QTextOption
from PySide6.QtWidgets import QFrame, QSizePolicy, QTextEdit, QVBoxLayout, QWidget

from app.kit.theme import ThemeProvider

_PAD_X, _PAD_Y = 14, 9
_MOST_IN_PIECE = 3000
"""Characters. Qt lays a text out anew with all that it has when some are added: a long one streams into pieces."""
_MOST_SHOWN = 100_000
"""Characters of one message on screen: more take Qt seconds."""


class Bubble(QWidget):
    """A message. `mine`: the user's own, in a soft colour. `lead`: what stands before the text, in a strong one."""

    def __init__(
        self, theme: ThemeProvider, *, mine: bool, text: str = "", lead: str = "", parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._theme, self._mine, self._lead = theme, mine, lead
        self._widest = 400
        self._parts: list[str] = []
        self.pieces: list[_Text] = []
        self._other: QWidget | None = None
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(_PAD_X, _PAD_Y, _PAD_X, _PAD_Y)
        self._layout.setSpacing(0)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        theme.theme_changed.connect(self._on_theme_changed)
        self.set_text(text)

    @property
    def text(self) -> str:
        """The message, without its lead."""
        return "".join(self._parts)

    def set_text(self, text: str) -> None:
        """Show `text` instead, after the lead."""
        self._parts = [text]
        for piece in self.pieces[1:]:
            self._layout.removeWidget(piece)
            piece.deleteLater()
        del self.pieces[1:]
        if not self.pieces:
            self._add_piece()
        self.pieces[0].clear()
        cursor, look = QTextCursor(self.pieces[0].document()), QTextCharFormat()
        if self._lead:
            look.setForeground(self._theme.theme.color("accent"))
            cursor.insertText(self._lead, look)
        shown = text if len(text) <= _MOST_SHOWN else text[:_MOST_SHOWN]
        cursor.insertText(shown, QTextCharFormat())
        if len(shown) < len(text):
            look.setForeground(self._theme.theme.color("muted"))
            cursor.insertText(
                f"\n… and {len(text) - len(shown):,} more characters: copy the message to read them.", look
            )
        self._fit()

    def append(self, text: str) -> None:
        """Add `text` at the end; what that costs does not grow with the message."""
        self._parts.append(text)
        self.pieces[-1].add(text)
        self._fit_last()
        while self._is_wrapped and (rest := self.pieces[-1].take_last_line(_MOST_IN_PIECE)) is not None:
            self._fit_last()
            self._add_piece().add(rest)
            self._fit_last()

    def settle(self) -> None:
        """The message is complete: make it one text, through which one can select."""
        if len(self.pieces) > 1:
            self.set_text(self.text)

    def show_instead(self, widget: QWidget | None) -> None:
        """Show another widget, as high as it wants to be, in the place of the text; None: the text again."""
        if self._other is not None and self._other is not widget:
            self._layout.removeWidget(self._other)
            self._other.hide()
            self._other.deleteLater()
        self._other = widget
        for piece in self.pieces:
            piece.setVisible(widget is None)
        if widget is not None:
            self._layout.addWidget(widget)
            widget.show()
        self._take_size()

    def set_widest(self, pixels: int) -> None:
        """Be at most `pixels` wide."""
        if pixels != self._widest:
            self._widest = pixels
            self._fit()

    def _add_piece(self) -> _Text:
        piece = _Text()
        piece.setAccessibleName("Your message" if self._mine else "The model's reply")
        self.pieces.append(piece)
        self._layout.addWidget(piece)
        piece.setVisible(self._other is None)
        return piece

    @property
    def _is_wrapped(self) -> bool:
        return self.pieces[0].width() == self._widest - 2 * _PAD_X

    def _fit(self) -> None:
        for piece in self.pieces:
            piece.fit(self._widest - 2 * _PAD_X, whole=len(self.pieces) > 1)
        self._take_size()

    def _fit_last(self) -> None:
        self.pieces[-1].fit(self._widest - 2 * _PAD_X, whole=self._is_wrapped)
        self._take_size()

    def _take_size(self) -> None:
        if self._other is None:
            width = max(piece.width() for piece in self.pieces)
            height = sum(piece.height() for piece in self.pieces)
        else:
            width, narrow = self._widest - 2 * _PAD_X, self._other.sizeHint().width()
            height = self._other.heightForWidth(width)
            if narrow < width and self._other.heightForWidth(narrow) == height:
                width = narrow
        self.setFixedSize(width + 2 * _PAD_X, height + 2 * _PAD_Y)

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.LayoutRequest and self._other is not None:
            self._take_size()  # it may want to be higher, with another text size for instance
        return super().event(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colors = self._theme.theme
        painter.setPen(QPen(colors.color("accent_line" if self._mine else "border"), 1))
        painter.setBrush(colors.color("accent_soft" if self._mine else "surface"))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 12, 12)
        painter.end()

    def _on_theme_changed(self) -> None:
        self.set_text(self.text)
        self.update()


class _Text(QTextEdit):
    """Text to read and copy: no frame, no scroll bars, no background of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.setReadOnly(True)
        self.setUndoRedoEnabled(False)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWordWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        self.setStyleSheet("QTextEdit { background: transparent; border: none; padding: 0; min-height: 0; }")
        self.viewport().setBackgroundRole(QPalette.ColorRole.NoRole)
        self.document().setDocumentMargin(0)
        self.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)

    def add(self, text: str) -> None:
        """One insert at the end, whatever its length."""
        cursor = QTextCursor(self.document())
        cursor.movePosition(QTextCursor.MoveOperation.End)
        cursor.insertText(text, QTextCharFormat())

    def fit(self, widest: int, *, whole: bool) -> None:
        """Be as large as the text in lines of at most `widest` pixels; `whole`: exactly so wide."""
        document, width = self.document(), widest
        if not whole:
            document.setTextWidth(-1)
            width = max(min(math.ceil(document.idealWidth()) + 1, widest), 8)
        document.setTextWidth(width)
        self.setFixedSize(width, math.ceil(document.size().height()))

    def take_last_line(self, most: int) -> str | None:
        """Where it has more than so many characters: take its last line on screen off, and return that."""
        document = self.document()
        if document.characterCount() <= most:
            return None
        block = document.lastBlock()
        lines = block.layout()
        place = block.position() + (lines.lineAt(lines.lineCount() - 1).textStart() if lines.lineCount() else 0)
        if not place:
            return None
        cursor = QTextCursor(document)
        cursor.setPosition(place)
        cursor.movePosition(QTextCursor.MoveOperation.End, QTextCursor.MoveMode.KeepAnchor)
        rest = cursor.selectedText().replace("\u2029", "\n")
        cursor.removeSelectedText()
        if place == block.position():
            cursor.deletePreviousChar()  # the line break: the next piece begins a line by itself
        return rest
