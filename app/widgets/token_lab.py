"""Type a text, see its tokens at once: the editor and the pills, each showing what the other points at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from PySide6.QtCore import QEvent, QObject, Qt, Signal, Slot
from PySide6.QtGui import QMouseEvent, QTextCharFormat, QTextCursor
from PySide6.QtWidgets import QPlainTextEdit, QSplitter, QStackedWidget, QTextEdit, QVBoxLayout, QWidget
from tokenizers import Tokenizer

from app.theme import ThemeProvider
from app.widgets.basics import EmptyState, button, frame
from app.widgets.encoder import Encoder, whole_characters
from app.widgets.text_offsets import TextOffsets
from app.widgets.token_view import TokenView
from models.tokenizers import Piece

FOLD_ABOVE = 10_000
"""Texts of more characters keep their pills folded away until asked for."""


class TokenLab(QSplitter):
    """An editor above the pills of its text.

    Signals:
        encoded(): `pieces` and `text` are new.
        token_changed(int): the token to tell about (under the pointer, or picked), -1 for none.
    """

    encoded = Signal()
    token_changed = Signal(int)

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(Qt.Orientation.Vertical, parent)
        self._theme = theme
        self._tokenizer: Tokenizer | None = None
        self._unfolded = False
        self.text = ""
        self.pieces: Sequence[Piece] = ()
        self._offsets = TextOffsets("")
        self._starts = np.zeros(0, np.int64)
        self._counts: Counter[int] = Counter()
        self.editor = QPlainTextEdit()
        self.editor.setProperty("role", "mono")
        self.editor.setAccessibleName("Text")
        self.editor.setPlaceholderText("Type or paste a text")
        self.editor.setTabChangesFocus(True)
        self.editor.viewport().setMouseTracking(True)
        self.editor.viewport().installEventFilter(self)
        self.view = TokenView(theme)
        self._encoder = Encoder(self)
        self._pages = QStackedWidget()
        self._build()
        self.editor.textChanged.connect(self._on_text_changed)
        self.editor.cursorPositionChanged.connect(self._on_cursor_moved)
        self.editor.selectionChanged.connect(self._on_cursor_moved)
        self._encoder.encoded.connect(self._on_encoded)
        self.view.hovered.connect(self._on_token_changed)
        self.view.picked.connect(self._on_token_changed)
        theme.theme_changed.connect(self._show_highlight)

    def _build(self) -> None:
        self._fold_note = EmptyState(
            "The pills are folded away",
            f"Beyond {FOLD_ABOVE:,} characters they are more than one can read, and typing stays quicker without them.",
            button("Show them", self._theme, self._on_unfold, icon="arrows-out-simple", tip="Draw every token"),
        )
        self._pages.addWidget(self.view)
        self._pages.addWidget(self._fold_note)
        upper = QWidget()
        column = QVBoxLayout(upper)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.editor)
        self.addWidget(upper)
        lower = frame("card", margin=4)
        pages = lower.layout()
        assert pages is not None
        pages.addWidget(self._pages)
        self.addWidget(lower)
        self.setChildrenCollapsible(False)
        self.setStretchFactor(0, 1)
        self.setStretchFactor(1, 2)
        self.setSizes([200, 400])

    def set_tokenizer(self, tokenizer: Tokenizer | None) -> None:
        """Encode with `tokenizer` from now on; None shows no tokens."""
        self._tokenizer = tokenizer
        self._on_text_changed()

    def most_frequent(self, n: int) -> list[tuple[Piece, int]]:
        """The `n` most frequent tokens of the text with their counts."""
        by_id = {piece.id: piece for piece in self.pieces}
        return [(by_id[token], count) for token, count in self._counts.most_common(n)]

    def occurrences(self, token_id: int) -> int:
        """How often the token occurs in the text."""
        return self._counts[token_id]

    @property
    def folded(self) -> bool:
        """Whether the pills are hidden because the text is long."""
        return len(self.text) > FOLD_ABOVE and not self._unfolded

    # -- text to pills -------------------------------------------------------------------------------------------------

    @Slot()
    def _on_text_changed(self) -> None:
        text = self.editor.toPlainText()
        if len(text) <= FOLD_ABOVE:
            self._unfolded = False
        if self._tokenizer is None:
            self._on_encoded(text, ())
        else:
            self._encoder.encode(self._tokenizer, text)

    @Slot(str, object)
    def _on_encoded(self, text: str, pieces: Sequence[Piece]) -> None:
        self.text, self.pieces = text, pieces
        self._offsets = TextOffsets(whole_characters(text))
        self._starts = np.fromiter((piece.start for piece in pieces), np.int64, len(pieces))
        self._counts = Counter(piece.id for piece in pieces)
        self._show_pills()
        self.encoded.emit()

    def _show_pills(self) -> None:
        self.view.set_pieces(() if self.folded else self.pieces)
        self._pages.setCurrentWidget(self._fold_note if self.folded else self.view)
        self._on_cursor_moved()

    def _on_unfold(self) -> None:
        self._unfolded = True
        self._show_pills()
        self.view.setFocus()

    # -- what points at what -------------------------------------------------------------------------------------------

    @Slot()
    def _on_cursor_moved(self) -> None:
        cursor = self.editor.textCursor()
        if self.editor.hasFocus():
            self._mark_tokens(cursor.selectionStart(), cursor.selectionEnd())

    def _mark_tokens(self, start: int, end: int) -> None:
        """Mark the tokens of the characters between two positions in the editor, at least the one that follows."""
        if self.folded or not self.pieces or self._offsets.n_bytes != self.pieces[-1].end:
            return
        first_byte = min(self._offsets.byte_at(start), self._offsets.n_bytes - 1)
        last_byte = max(self._offsets.byte_at(end) - 1, first_byte)
        first = int(np.searchsorted(self._starts, first_byte, side="right")) - 1
        last = int(np.searchsorted(self._starts, last_byte, side="right")) - 1
        self.view.mark(range(first, last + 1))

    @Slot(int)
    def _on_token_changed(self, _: int) -> None:
        self._show_highlight()
        self.token_changed.emit(self.view.current)

    def _show_highlight(self) -> None:
        index = self.view.current
        self.editor.setExtraSelections([] if index < 0 else [self._highlight(self.pieces[index])])

    def _highlight(self, piece: Piece) -> QTextEdit.ExtraSelection:
        selection = QTextEdit.ExtraSelection()
        cursor = QTextCursor(self.editor.document())
        start, end = self._offsets.units(piece.start, piece.end)
        cursor.setPosition(start)
        cursor.setPosition(end, QTextCursor.MoveMode.KeepAnchor)
        look = QTextCharFormat()
        look.setBackground(self._theme.theme.color("selection"))
        selection.cursor, selection.format = cursor, look
        return selection

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is self.editor.viewport():
            if event.type() == QEvent.Type.MouseMove and isinstance(event, QMouseEvent) and not event.buttons():
                place = self.editor.cursorForPosition(event.position().toPoint()).position()
                self._mark_tokens(place, place)
            elif event.type() == QEvent.Type.Leave:
                self.view.mark(range(0))
        return super().eventFilter(watched, event)
