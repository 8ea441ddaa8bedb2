"""A message bubble, as large as its text; it grows while the text streams in."""

from __future__ import annotations

import math

from PySide6.QtCore import QEvent, QRectF, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPalette, QPen, QTextCharFormat, QTextCursor, QTextOption
from PySide6.QtWidgets import QFrame, QSizePolicy, QTextEdit, QVBoxLayout, QWidget

from app.kit.theme import ThemeProvider

_PAD_X, _PAD_Y = 14, 9
_MAX_BLOCK_CHARACTERS = 3000
"""Characters. Qt lays out the whole text again after each insertion, so a long one streams into several widgets."""
_MAX_SHOWN_CHARACTERS = 100_000
"""Characters of one message on screen: Qt needs seconds for more."""


class Bubble(QWidget):
    """A message bubble. `mine`: a user message, in a soft colour. `lead`: text before it, in the accent colour."""

    def __init__(
        self, theme: ThemeProvider, *, mine: bool, text: str = "", lead: str = "", parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._theme, self._mine, self._lead = theme, mine, lead
        self._max_width = 400
        self._parts: list[str] = []
        self.blocks: list[_Text] = []
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
        for block_view in self.blocks[1:]:
            self._layout.removeWidget(block_view)
            block_view.deleteLater()
        del self.blocks[1:]
        if not self.blocks:
            self._add_block()
        self.blocks[0].clear()
        cursor, char_format = QTextCursor(self.blocks[0].document()), QTextCharFormat()
        if self._lead:
            char_format.setForeground(self._theme.theme.color("accent"))
            cursor.insertText(self._lead, char_format)
        shown = text if len(text) <= _MAX_SHOWN_CHARACTERS else text[:_MAX_SHOWN_CHARACTERS]
        cursor.insertText(shown, QTextCharFormat())
        if len(shown) < len(text):
            char_format.setForeground(self._theme.theme.color("muted"))
            cursor.insertText(
                f"\n… and {len(text) - len(shown):,} more characters: copy the message to read them.", char_format
            )
        self._fit()

    def append(self, text: str) -> None:
        """Add `text` at the end, in time independent of the message's length."""
        self._parts.append(text)
        self.blocks[-1].add(text)
        self._fit_last()
        while self._is_wrapped and (rest := self.blocks[-1].take_last_line(_MAX_BLOCK_CHARACTERS)) is not None:
            self._fit_last()
            self._add_block().add(rest)
            self._fit_last()

    def finish(self) -> None:
        """The message is complete: make it one widget, so that all of it can be selected."""
        if len(self.blocks) > 1:
            self.set_text(self.text)

    def show_instead(self, widget: QWidget | None) -> None:
        """Show another widget instead of the text; None: the text again."""
        if self._other is not None and self._other is not widget:
            self._layout.removeWidget(self._other)
            self._other.hide()
            self._other.deleteLater()
        self._other = widget
        for block_view in self.blocks:
            block_view.setVisible(widget is None)
        if widget is not None:
            self._layout.addWidget(widget)
            widget.show()
        self._take_size()

    def set_max_width(self, pixels: int) -> None:
        """Set the maximum width in pixels."""
        if pixels != self._max_width:
            self._max_width = pixels
            self._fit()

    def _add_block(self) -> _Text:
        block_view = _Text()
        block_view.setAccessibleName("Your message" if self._mine else "The model's reply")
        self.blocks.append(block_view)
        self._layout.addWidget(block_view)
        block_view.setVisible(self._other is None)
        return block_view

    @property
    def _is_wrapped(self) -> bool:
        return self.blocks[0].width() == self._max_width - 2 * _PAD_X

    def _fit(self) -> None:
        for block_view in self.blocks:
            block_view.fit(self._max_width - 2 * _PAD_X, whole=len(self.blocks) > 1)
        self._take_size()

    def _fit_last(self) -> None:
        self.blocks[-1].fit(self._max_width - 2 * _PAD_X, whole=self._is_wrapped)
        self._take_size()

    def _take_size(self) -> None:
        if self._other is None:
            width = max(block_view.width() for block_view in self.blocks)
            height = sum(block_view.height() for block_view in self.blocks)
        else:
            width, narrow = self._max_width - 2 * _PAD_X, self._other.sizeHint().width()
            height = self._other.heightForWidth(width)
            if narrow < width and self._other.heightForWidth(narrow) == height:
                width = narrow
        self.setFixedSize(width + 2 * _PAD_X, height + 2 * _PAD_Y)

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.LayoutRequest and self._other is not None:
            self._take_size()  # its height may have changed, for instance with the text size
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
    """Read-only text without frame, scroll bars and background."""

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
        """Insert text at the end."""
        cursor = QTextCursor(self.document())
        cursor.movePosition(QTextCursor.MoveOperation.End)
        cursor.insertText(text, QTextCharFormat())

    def fit(self, widest: int, *, whole: bool) -> None:
        """Resize to the text, wrapped at `widest` pixels; `whole`: exactly that wide."""
        document, width = self.document(), widest
        if not whole:
            document.setTextWidth(-1)
            width = max(min(math.ceil(document.idealWidth()) + 1, widest), 8)
        document.setTextWidth(width)
        self.setFixedSize(width, math.ceil(document.size().height()))

    def take_last_line(self, max_characters: int) -> str | None:
        """If it has more than `max_characters`: remove its last line on screen and return it."""
        document = self.document()
        if document.characterCount() <= max_characters:
            return None
        block = document.lastBlock()
        lines = block.layout()
        position = block.position() + (lines.lineAt(lines.lineCount() - 1).textStart() if lines.lineCount() else 0)
        if not position:
            return None
        cursor = QTextCursor(document)
        cursor.setPosition(position)
        cursor.movePosition(QTextCursor.MoveOperation.End, QTextCursor.MoveMode.KeepAnchor)
        rest = cursor.selectedText().replace("\u2029", "\n")
        cursor.removeSelectedText()
        if position == block.position():
            cursor.deletePreviousChar()  # the line break: the next block starts on a new line anyway
        return rest
