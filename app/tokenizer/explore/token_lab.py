"""An editor with the tokens and bytes of its text, with linked highlighting."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, Qt, Signal, Slot
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QSplitter, QTextEdit, QWidget
from tokenizers import Tokenizer

from terrarium.app.kit.basics import frame, group, label, separator
from terrarium.app.kit.inputs import named
from terrarium.app.kit.text.text_box import TextBox, TruncationNote, highlight
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.kit.tokens.token_view import TokenView
from terrarium.app.tokenizer.encoder import Encoder
from terrarium.app.tokenizer.explore.byte_strip import ByteStrip
from terrarium.app.tokenizer.text_offsets import TextOffsets, utf16_units
from terrarium.models.tokenizers import Piece
from terrarium.models.tokenizers.text.encoded import EncodedText


class TokenLab(QSplitter):
    """An editor above the pills and the bytes of its text.

    Signals:
        encoded(): `tokens` and `text` have changed.
        token_changed(int): the current token (under the pointer, or picked), -1 for none.
        text_changed(): the editor's text has changed, and has not been encoded yet.
    """

    encoded = Signal()
    token_changed = Signal(int)
    text_changed = Signal()

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(Qt.Orientation.Vertical, parent)
        self._theme = theme
        self._tokenizer: Tokenizer | None = None
        self.text = ""
        self.tokens: EncodedText | None = None
        self._offsets = TextOffsets("")
        self.editor = named(TextBox(), "Text")
        self.editor.setProperty("role", "mono")
        self.editor.setPlaceholderText("Type or paste a text")
        self.editor.viewport().setMouseTracking(True)
        self.editor.viewport().installEventFilter(self)
        self.view = TokenView(theme)
        self.bytes = ByteStrip(theme)
        self._held = TruncationNote(self.editor, theme, "are shown below as tokens, but are too many to edit")
        self._busy = label("Encoding…", "caption")
        self._encoder = Encoder(self)
        self._build()
        self.editor.text_changed.connect(self._on_text_changed)
        self.editor.cursorPositionChanged.connect(self._on_cursor_moved)
        self.editor.selectionChanged.connect(self._on_cursor_moved)
        self._encoder.encoded.connect(self._on_encoded)
        self._encoder.started.connect(self._busy.show)
        self.view.hovered.connect(self._on_token_changed)
        self.view.picked.connect(self._on_token_changed)
        self.bytes.hovered.connect(self._on_byte_hovered)
        self.bytes.picked.connect(self.view.pick)
        theme.theme_changed.connect(self._restyle)

    def _build(self) -> None:
        self._busy.hide()
        self.addWidget(group(self.editor, self._held, self._busy, spacing=SPACE // 2))
        self.addWidget(frame("card", self.view, separator(), self.bytes, margin=4, spacing=4, grows=self.view))
        self.setChildrenCollapsible(False)
        self.setStretchFactor(0, 1)
        self.setStretchFactor(1, 2)
        self.setSizes([180, 420])

    def set_tokenizer(self, tokenizer: Tokenizer | None) -> None:
        """Encode with `tokenizer`; None shows no tokens."""
        self._tokenizer = tokenizer
        self._on_text_changed()

    @property
    def n_tokens(self) -> int:
        """The number of tokens of the text."""
        return 0 if self.tokens is None else len(self.tokens)

    @Slot(int, int)
    def show_characters(self, start: int, end: int) -> None:
        """Select the characters `start` to `end`, as far as they are in the editor, and mark their tokens.

        An empty range moves the cursor there.
        """
        if not self.tokens:
            return
        self.view.pick(-1)
        at = [utf16_units(self.text[:position]) for position in (start, end)]
        cursor = self.editor.cursor_over(*at)
        if cursor is not None:
            self.editor.setTextCursor(cursor)
            self.editor.setFocus()
        self.mark_tokens(*at)

    # -- text to pills -------------------------------------------------------------------------------------------------

    @Slot()
    def _on_text_changed(self) -> None:
        text = self.editor.text
        self.text_changed.emit()
        if self._tokenizer is None:
            self._on_encoded(text, None, TextOffsets(""))
        else:
            self._encoder.encode(self._tokenizer, text)

    @Slot(str, object, object)
    def _on_encoded(self, text: str, tokens: EncodedText | None, offsets: TextOffsets) -> None:
        self._busy.hide()
        self.text, self.tokens = text, tokens
        self._offsets = offsets
        self.view.set_pieces(() if tokens is None else tokens)
        self.bytes.set_pieces(tokens)
        self._on_cursor_moved()
        self.encoded.emit()

    # -- linked highlighting -------------------------------------------------------------------------------------------

    @Slot()
    def _on_cursor_moved(self) -> None:
        cursor = self.editor.textCursor()
        if self.editor.hasFocus():
            self.mark_tokens(cursor.selectionStart(), cursor.selectionEnd())

    def mark_tokens(self, start: int, end: int) -> None:
        """Mark the tokens between two positions in the editor; if they are equal, the token that follows."""
        if not self.tokens or self.view.is_frozen or self._offsets.n_bytes != self.tokens.n_bytes:
            return
        tokens = self.tokens.touching(self._offsets.byte_at(start), self._offsets.byte_at(end))
        self.view.mark(tokens)
        self.bytes.mark(tokens)

    @Slot(int)
    def _on_byte_hovered(self, index: int) -> None:
        if not self.view.is_frozen:
            tokens = range(index, index + 1) if index >= 0 else range(0)
            self.view.mark(tokens)
            self.bytes.mark(tokens)
            self._show_highlight(index)
            self.token_changed.emit(index)

    @Slot(int)
    def _on_token_changed(self, _: int) -> None:
        index = self.view.current
        self._show_highlight(index)
        self.bytes.mark(range(index, index + 1) if index >= 0 else range(0))
        self.token_changed.emit(index)

    @Slot()
    def _restyle(self) -> None:
        self._show_highlight(self.view.current)

    def _show_highlight(self, index: int) -> None:
        found = [] if index < 0 or self.tokens is None else self._highlight(self.tokens[index])
        self.editor.setExtraSelections(found)

    def _highlight(self, piece: Piece) -> list[QTextEdit.ExtraSelection]:
        cursor = self.editor.cursor_over(*self._offsets.units(piece.start, piece.end))
        return [] if cursor is None else [highlight(cursor, self._theme.theme.color("selection"))]

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is self.editor.viewport():
            if event.type() == QEvent.Type.MouseMove and isinstance(event, QMouseEvent) and not event.buttons():
                position = self.editor.cursorForPosition(event.position().toPoint()).position()
                self.mark_tokens(position, position)
            elif event.type() == QEvent.Type.Leave and not self.view.is_frozen:
                self.view.mark(range(0))
                self.bytes.mark(range(0))
        return super().eventFilter(watched, event)
