"""Tokens as pills in one custom-painted scroll area, so that a million tokens cost little more than a screenful."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QPointF, QRect, QRectF, QSize, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QColor, QFontMetrics, QHelpEvent, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractScrollArea, QFrame, QToolTip, QWidget

from terrarium.app.kit.layout.relayout import cut_row
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.kit.tokens.glyphs import Glyphs
from terrarium.app.kit.tokens.pill_layout import PillLayout
from terrarium.models.tokenizers import Piece
from terrarium.models.tokenizers.text.encoded import TokenArrays

_GAP, _ROW_GAP, _MARGIN = 2, 6, 8  # pixels between pills, below a row, around all
BATCH_SIZE = 150_000
"""The number of pills laid out before control returns to the event loop, which takes about 20 ms."""

_PAD = 5  # pixels inside a pill's ends


class TokenView(QAbstractScrollArea):
    """The tokens of a text as pills with alternating fills; special tokens are outlined.

    The pointer hovers; a click or the arrow keys pick a token, which stays picked until another click on it or
    Escape.

    Signals:
        hovered(int): the token under the pointer, -1 for none.
        picked(int): the token picked with the mouse or the keyboard, -1 for none.
    """

    hovered = Signal(int)
    picked = Signal(int)

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self.pieces: Sequence[Piece] = ()
        self.pills = PillLayout(np.zeros(0, np.int64), np.zeros(0, bool), 1)
        self._hover, self._pick, self.marked = -1, -1, range(0)
        self._show_ids = True
        self._words = PillPainter(theme, show_ids=True)
        self._laid_out = -1  # pixels across
        self._layout_timer = QTimer(self, singleShot=True, interval=0)
        self._layout_timer.timeout.connect(self._lay_out_more)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("Tokens")
        self.viewport().setMouseTracking(True)
        theme.theme_changed.connect(self._restyle)

    def set_pieces(self, pieces: Sequence[Piece]) -> None:
        """Show `pieces`; keeps the scroll position, and resets hover and pick."""
        self.pieces = pieces
        self.marked = range(0)
        self._set_hover(-1)
        self.pick(-1)
        self._relayout()
        self.setAccessibleDescription(f"{len(pieces)} tokens. Arrow keys move between them.")

    def set_show_ids(self, show: bool) -> None:
        """Show or hide the id under each pill."""
        self._show_ids = show
        self._restyle()

    def mark(self, tokens: range) -> None:
        """Highlight a range of tokens and scroll to it; an empty range removes the highlight."""
        if tokens != self.marked:
            self.marked = tokens
            if tokens:
                self._scroll_to(tokens.start)
            self.viewport().update()

    def pick(self, index: int) -> None:
        """Pick token `index`, -1 for none, and emit `picked` on a change."""
        if index != self._pick:
            self._pick = index
            if index >= 0:
                self._scroll_to(index)
                self.setAccessibleDescription(describe_token(self.pieces[index]))
            self.picked.emit(index)
            self.viewport().update()

    @property
    def current(self) -> int:
        """The token to describe: the picked token, else the token under the pointer, else -1."""
        return self._pick if self._pick >= 0 else self._hover

    @property
    def is_frozen(self) -> bool:
        """Whether a token is picked, so that the pointer has no effect."""
        return self._pick >= 0

    def sizeHint(self) -> QSize:
        return QSize(480, 240)

    # -- geometry ------------------------------------------------------------------------------------------------------

    @property
    def _row_height(self) -> int:
        return self._words.row_height

    @Slot()
    def _restyle(self) -> None:
        self._words = PillPainter(self._theme, show_ids=self._show_ids)
        self._relayout()

    @property
    def _available(self) -> int:
        """The width for pills in pixels, the same with and without a scroll bar, so that rows stay unchanged."""
        return max(self.width() - self.verticalScrollBar().sizeHint().width() - 2 * _MARGIN, 40)

    def _relayout(self) -> None:
        self._laid_out = self._available
        widths = np.minimum(self._of_each(self._words.width, np.int64), self._laid_out) + _GAP
        self.pills = PillLayout(widths, self._line_ends(), self._laid_out + _GAP, BATCH_SIZE)
        in_sight = self.verticalScrollBar().value() + self.viewport().height()
        while not self.pills.is_complete and self.pills.n_rows * self._row_height < in_sight:
            self.pills.extend(BATCH_SIZE)
        self._set_range()
        self._layout_timer.start()

    @Slot()
    def _lay_out_more(self) -> None:
        """Lay out more of a long text, and return control to the event loop."""
        if not self.pills.is_complete:
            self.pills.extend(BATCH_SIZE)
            self._set_range()
            self._layout_timer.start()

    def _lay_out_to(self, index: int) -> None:
        while self.pills.n_laid_out <= index and not self.pills.is_complete:
            self.pills.extend(BATCH_SIZE)
            self._set_range()

    def _line_ends(self) -> NDArray[np.bool]:
        """Return for each token whether the row ends after it."""
        return self._of_each(_ends_line, bool)

    def _of_each(self, fact: Callable[[Piece], Any], dtype: type) -> NDArray[Any]:
        """Compute a property of each token (n,) that depends only on its id."""
        pieces = self.pieces
        if isinstance(pieces, TokenArrays):
            return pieces.per_token(fact, dtype)
        return np.fromiter(map(fact, pieces), dtype, len(pieces))

    def _set_range(self) -> None:
        bar, rows = self.verticalScrollBar(), self.pills.n_rows * self._row_height
        room = self.contentsRect().height() - _MARGIN + _ROW_GAP  # the gap below the last row may be cut
        self.setViewportMargins(0, 0, 0, cut_row(room, self._row_height, rows))
        seen = max((self.viewport().height() - _MARGIN + _ROW_GAP) // self._row_height, 1) * self._row_height
        bar.setRange(0, rows - seen + _MARGIN - _ROW_GAP if rows > room else 0)  # the end shows whole rows
        bar.setPageStep(self.viewport().height())
        bar.setSingleStep(self._row_height)
        self.viewport().update()

    def pill_rect(self, index: int) -> QRect:
        """Return the rectangle of pill `index` in the viewport."""
        self._lay_out_to(index)
        row = self.pills.row_of(index)
        top = _MARGIN + row * self._row_height - self.verticalScrollBar().value()
        left = _MARGIN + self.pills.x_of(index)
        return QRect(left, top, self.pills.width_of(index) - _GAP, self._words.pill_height)

    def token_at(self, point: QPointF) -> int:
        """Return the token at a point of the viewport, -1 for none."""
        y = int(point.y()) - _MARGIN + self.verticalScrollBar().value()
        index = self.pills.at(int(point.x()) - _MARGIN, y // self._row_height)
        return -1 if index is None else index

    def _scroll_to(self, index: int) -> None:
        rect, bar = self.pill_rect(index), self.verticalScrollBar()
        if rect.top() < 0:
            bar.setValue(bar.value() + rect.top() - _MARGIN)
        elif rect.top() + self._row_height > self.viewport().height():
            bar.setValue(bar.value() + rect.top() + self._row_height + _MARGIN - self.viewport().height())

    # -- painting ------------------------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self.viewport())
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        offset = self.verticalScrollBar().value() - _MARGIN
        first = max((event.rect().top() + offset) // self._row_height, 0)
        last = min((event.rect().bottom() + offset) // self._row_height, self.pills.n_rows - 1)
        for row in range(first, last + 1):
            for index in self.pills.pills_in(row):
                self._paint_pill(painter, index)
        painter.end()

    def _paint_ground(self, painter: QPainter, index: int, piece: Piece, shape: QRectF) -> None:
        """Paint a pill without its text."""
        colors = self._theme.theme
        if piece.special:
            painter.setPen(QPen(QColor(colors.muted), 1, Qt.PenStyle.DashLine))
            painter.setBrush(Qt.BrushStyle.NoBrush)
        else:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(colors.pill_a if index % 2 == 0 else colors.pill_b))
        painter.drawRoundedRect(shape, 4, 4)

    def _paint_pill(self, painter: QPainter, index: int) -> None:
        piece, rect = self.pieces[index], self.pill_rect(index)
        shape = QRectF(rect).adjusted(0.5, 0.5, -0.5, -0.5)
        self._paint_ground(painter, index, piece, shape)
        if index in self.marked or index in (self._hover, self._pick):
            strong = index in (self._hover, self._pick)
            painter.setPen(QPen(QColor(self._theme.theme.accent), 2 if strong else 1.4))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(shape, 4, 4)
        self._words.paint(painter, rect, piece, self._ink(index))

    def _ink(self, index: int) -> QColor | None:
        """Return the colour of a pill's text, None for the default."""
        return None

    # -- input ---------------------------------------------------------------------------------------------------------

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        self._set_hover(self.token_at(event.position()))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            index = self.token_at(event.position())
            self.pick(-1 if index == self._pick else index)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        event.accept()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        target = self._key_target(event.key())
        if target is None:
            super().keyPressEvent(event)
        elif self.pieces:
            self.pick(target)

    def _key_target(self, key: int) -> int | None:
        """Return the token that a key moves to, -1 to unpick; None if the key has no effect."""
        last, pick = len(self.pieces) - 1, self._pick
        if key == Qt.Key.Key_Escape and pick >= 0:
            return -1
        if key in (Qt.Key.Key_Up, Qt.Key.Key_Down) and self.pieces:
            return self._vertical_neighbour(-1 if key == Qt.Key.Key_Up else 1)
        moves = {
            Qt.Key.Key_Right: min(pick + 1, last),
            Qt.Key.Key_Left: max(pick - 1, 0),
            Qt.Key.Key_Home: 0,
            Qt.Key.Key_End: last,
        }
        return moves.get(Qt.Key(key))

    def _vertical_neighbour(self, rows: int) -> int:
        pick = max(self._pick, 0)
        self._lay_out_to(pick)
        return self.pills.neighbour(pick, rows)

    def viewportEvent(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Leave:
            self._set_hover(-1)
        elif event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            index = self.token_at(QPointF(event.pos()))
            if index >= 0:
                tip = f"<p>{html.escape(self._tip(index))}</p>"  # a token may look like markup
                QToolTip.showText(event.globalPos(), tip, self.viewport(), self.pill_rect(index))
            else:
                QToolTip.hideText()
            return True
        return super().viewportEvent(event)

    def _tip(self, index: int) -> str:
        return describe_token(self.pieces[index])

    def resizeEvent(self, event: object) -> None:
        if self._available == self._laid_out:
            self._set_range()
        else:
            self._relayout()

    def _set_hover(self, index: int) -> None:
        if index != self._hover:
            self._hover = index
            self.hovered.emit(index)
            self.viewport().update()


def _ends_line(piece: Piece) -> bool:
    return b"\n" in piece.bytes


def describe_token(piece: Piece) -> str:
    """Describe a token in one line: its text, id and bytes."""
    return f"{piece.display}   id {piece.id}   bytes {piece.bytes.hex(' ').upper()}"


class PillPainter:
    """Measures and paints the text of pills and, with `show_ids`, the ids below. One per theme.

    Attributes:
        metrics: the metrics of the text's font.
        pill_height, row_height: the height of a pill, and the distance between rows, in pixels.
    """

    def __init__(self, theme: ThemeProvider, *, show_ids: bool) -> None:
        self._colors, self._show_ids = theme.theme, show_ids
        self._font, self._id_font = theme.mono_font(), theme.mono_font(0.78)
        self.metrics, self._id_metrics = QFontMetrics(self._font), QFontMetrics(self._id_font)
        self.pill_height = self.metrics.height() + 4
        self.row_height = self.pill_height + (self._id_metrics.height() if show_ids else 0) + _ROW_GAP
        self._glyphs = Glyphs(self._font)
        self._widths: dict[tuple[str, int], int] = {}

    def width(self, piece: Piece) -> int:
        """Return the width in pixels of a token's pill; cached per token."""
        key = (piece.display, piece.id if self._show_ids else -1)
        width = self._widths.get(key)
        if width is None:
            text = self.metrics.horizontalAdvance(self._glyphs.drawable(piece.display)) + 2 * _PAD
            id_width = self._id_metrics.horizontalAdvance(str(piece.id)) + 4 if self._show_ids else 0
            width = self._widths[key] = max(text, id_width)
        return width

    def paint(self, painter: QPainter, rect: QRect, piece: Piece, ink: QColor | None = None) -> None:
        """Draw a token into its pill, elided if necessary, and its id below. ink: the text's colour."""
        colors = self._colors
        painter.setFont(self._font)
        painter.setPen(ink or QColor(colors.text if piece.special else colors.pill_text))
        shown = self._glyphs.drawable(piece.display)
        text = self.metrics.elidedText(shown, Qt.TextElideMode.ElideMiddle, rect.width() - _PAD)
        painter.drawText(rect, Qt.AlignmentFlag.AlignCenter, text)
        if self._show_ids:
            painter.setFont(self._id_font)
            painter.setPen(QColor(colors.muted))
            below = QRect(rect.left(), rect.bottom() + 1, rect.width(), self._id_metrics.height())
            painter.drawText(below, Qt.AlignmentFlag.AlignCenter, str(piece.id))
