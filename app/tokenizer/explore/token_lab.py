"""An editor with the tokens and bytes of its text, with linked highlighting."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, QRect, QSize, Qt, Signal, Slot
from PySide6.QtGui import QColor, QFontMetrics, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractScrollArea, QFrame, QSizePolicy, QSplitter, QTextEdit, QWidget
from tokenizers import Tokenizer

from terrarium.app.kit.basics import frame, group, label, separator
from terrarium.app.kit.inputs import named
from terrarium.app.kit.text.text_box import TextBox, TruncationNote, highlight
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.kit.tokens.token_view import TokenView
from terrarium.app.tokenizer.encoder import Encoder
from terrarium.app.tokenizer.text_offsets import TextOffsets, utf16_units
from terrarium.models.tokenizers import Piece
from terrarium.models.tokenizers.codec import show_bytes
from terrarium.models.tokenizers.text.encoded import EncodedText

_PAD, _MARGIN = 4, 8  # pixels around the digits of a cell, and at both ends


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


class ByteStrip(QAbstractScrollArea):
    """One line of bytes in hexadecimal, coloured by token, each with the character that starts there.

    It scrolls to the marked tokens.

    Signals:
        hovered(int): the token of the byte under the pointer, -1 for none.
        picked(int): the token of the clicked byte.
    """

    hovered = Signal(int)
    picked = Signal(int)

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._pieces: EncodedText | None = None
        self._data = b""
        self.marked = range(0)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Bytes of the text")
        self.setToolTip("The text in UTF-8, byte by byte, in the colours of the tokens")
        self.viewport().setMouseTracking(True)
        self._take_fonts()
        theme.theme_changed.connect(self._on_theme_changed)

    def set_pieces(self, pieces: EncodedText | None) -> None:
        """Show the bytes of an encoded text; None for none."""
        self._pieces = pieces
        self._data = pieces.text.encode() if pieces is not None else b""
        self.marked = range(0)
        self._set_range()
        self.viewport().update()

    def mark(self, tokens: range) -> None:
        """Outline the bytes of these tokens and scroll to them; an empty range for none."""
        if tokens == self.marked:
            return
        self.marked = tokens
        if tokens and self._pieces is not None:
            first, last = int(self._pieces.starts[tokens.start]), int(self._pieces.ends[tokens.stop - 1])
            bar, shown = self.horizontalScrollBar(), self.viewport().width() // self.cell_width
            if not bar.value() <= first <= last <= bar.value() + shown:
                bar.setValue(first - max((shown - (last - first)) // 2, 0))
        self.viewport().update()

    def sizeHint(self) -> QSize:
        bar = self.horizontalScrollBar().sizeHint().height()
        return QSize(320, self._metrics.height() + self._small.height() + 10 + bar)

    def minimumSizeHint(self) -> QSize:
        return QSize(120, self.sizeHint().height())

    def _take_fonts(self) -> None:
        self._font, self._small_font = self._theme.mono_font(0.85), self._theme.mono_font(0.78)
        self._metrics, self._small = QFontMetrics(self._font), QFontMetrics(self._small_font)
        self.cell_width = self._metrics.horizontalAdvance("00") + 2 * _PAD
        self.updateGeometry()

    def _set_range(self) -> None:
        shown = max((self.viewport().width() - 2 * _MARGIN) // self.cell_width, 1)
        bar = self.horizontalScrollBar()
        bar.setRange(0, max(0, len(self._data) - shown))
        bar.setPageStep(shown)
        bar.setSingleStep(4)

    def paintEvent(self, event: QPaintEvent) -> None:
        pieces = self._pieces
        if pieces is None or not self._data:
            return
        painter = QPainter(self.viewport())
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        first = self.horizontalScrollBar().value()
        end = min(len(self._data), first + self.viewport().width() // self.cell_width + 1)
        for i in pieces.touching(first, end):
            start, stop = max(int(pieces.starts[i]), first), min(int(pieces.ends[i]), end)
            if start < stop:
                rect = QRect(_MARGIN + (start - first) * self.cell_width, 2, (stop - start) * self.cell_width - 2, 0)
                self._paint_token(painter, i, rect)
        self._paint_bytes(painter, first, end)
        painter.end()

    def _paint_token(self, painter: QPainter, index: int, rect: QRect) -> None:
        colors = self._theme.theme
        rect.setHeight(self._metrics.height() + 2)
        painter.setPen(QPen(QColor(colors.accent), 2) if index in self.marked else Qt.PenStyle.NoPen)
        painter.setBrush(QColor(colors.pill_a if index % 2 == 0 else colors.pill_b))
        painter.drawRoundedRect(rect.adjusted(1, 0, -1, 0), 3, 3)

    def _paint_bytes(self, painter: QPainter, first: int, end: int) -> None:
        colors = self._theme.theme
        for at in range(first, end):
            cell = QRect(_MARGIN + (at - first) * self.cell_width - 1, 2, self.cell_width, self._metrics.height() + 2)
            painter.setFont(self._font)
            painter.setPen(QColor(colors.pill_text))
            painter.drawText(cell, Qt.AlignmentFlag.AlignCenter, f"{self._data[at]:02X}")
            character = self._character_at(at)
            if character:
                painter.setFont(self._small_font)
                painter.setPen(QColor(colors.muted))
                below = QRect(cell.left(), cell.bottom() + 2, self.cell_width, self._small.height())
                painter.drawText(below, Qt.AlignmentFlag.AlignCenter, character)

    def _character_at(self, at: int) -> str:
        """Return the character that starts at this byte, if it fits into a cell, else ""."""
        lead = self._data[at]
        if 0x80 <= lead < 0xC0:
            return ""
        size = 1 + (lead >= 0xC0) + (lead >= 0xE0) + (lead >= 0xF0)
        shown = show_bytes(self._data[at : at + size])
        return shown if len(shown) <= 2 else ""

    def token_at(self, x: int) -> int:
        at = (x - _MARGIN) // self.cell_width + self.horizontalScrollBar().value()
        if self._pieces is None or not 0 <= at < len(self._data) or x < _MARGIN:
            return -1
        tokens = self._pieces.touching(at, at + 1)
        index = tokens.start
        return index if tokens and self._pieces.starts[index] <= at < self._pieces.ends[index] else -1

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        self.hovered.emit(self.token_at(int(event.position().x())))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self.picked.emit(self.token_at(int(event.position().x())))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        event.accept()

    def viewportEvent(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Leave:
            self.hovered.emit(-1)
        return super().viewportEvent(event)

    def resizeEvent(self, event: object) -> None:
        self._set_range()

    def _on_theme_changed(self) -> None:
        self._take_fonts()
        self._set_range()
        self.viewport().update()
