"""A wrapping text with each token coloured by its statistics; only visible lines are painted."""

from __future__ import annotations

import html
import itertools
import math
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QPoint, QPointF, QRect, QSize, Qt, Signal, Slot
from PySide6.QtGui import (
    QColor,
    QFont,
    QFontMetrics,
    QFontMetricsF,
    QHelpEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QResizeEvent,
)
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from terrarium.app.glass.draft_mark import summary
from terrarium.app.glass.focus import Focus
from terrarium.app.glass.read_text import ReadText
from terrarium.app.glass.tokens.colours import DRAFT, NO_COLOURS, QUANTITIES, Shades, draft_colours, token_facts
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.kit.tokens.pill_layout import PillLayout

_LEADING = 5  # pixels between the rows
_SPACE, _LINE_FEED = "·", "⏎"
_LINE = re.compile(f"[^{_LINE_FEED}]*{_LINE_FEED}|[^{_LINE_FEED}]+")
_MAX_CHARS = 40
"""Longer tokens are cut off after this many characters."""


class TokenText(QWidget):
    """The tokens of a reply, or of the whole text, in wrapped lines.

    Hovering, clicks, arrow keys and Esc change `focus`, which other views follow. Hovering does nothing while a token
    is locked.

    Signals:
        walked(QRect): the arrow keys moved to the token in this rectangle of the widget.
    """

    walked = Signal(QRect)

    def __init__(self, theme: ThemeProvider, focus: Focus, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme, self._focus = theme, focus
        self.read_text: ReadText | None = None
        self._first = 0
        self.values: list[tuple[float, float, int] | None] = []
        self._quantity = "surprisal"
        self._is_code = False
        self.position: int | None = None
        self._layout: PillLayout | None = None
        self._laid_out = -1
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Minimum)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("Tokens")
        for signal in (focus.text_changed, focus.position_changed, focus.lock_changed):
            signal.connect(self._on_focus)
        theme.theme_changed.connect(self._restyle)
        self._restyle()

    # -- content -------------------------------------------------------------------------------------------------------

    def set_text(self, text: ReadText | None, *, with_prompt: bool = False, is_code: bool = False) -> None:
        """Show another text, uncoloured, with or without its prompt. is_code: whether to use the fixed-width font."""
        self.read_text, self._is_code = text, is_code
        self._first = text.n_prompt if text is not None and not with_prompt else 0
        self.values = [None] * len(self._words)
        self.position = None
        self._on_focus()
        self._describe()
        self._measure()

    def _describe(self) -> None:
        marks = self.read_text.marks if self.read_text is not None and self._quantity == DRAFT else ()
        drafted = f" {summary(marks)}" if marks else ""
        self.setAccessibleDescription(f"{len(self._words)} tokens. Arrow keys move through them.{drafted}")

    def set_values(
        self, probabilities: Sequence[float], entropies: Sequence[float], ranks: Sequence[int], first: int | None = None
    ) -> None:
        """Set the statistics of the tokens from position `first` of the text on; None: from the first sampled token.

        Args:
            probabilities, entropies (nats), ranks: of each of these tokens, as in `TokenMade`.
        """
        start = (self.read_text.n_prompt if self.read_text is not None else 0) if first is None else first
        for i, values in enumerate(zip(probabilities, entropies, ranks, strict=True), start=start - self._first):
            if 0 <= i < len(self.values):
                self.values[i] = values
        self.update()

    def set_quantity(self, name: str) -> None:
        """Colour by one of QUANTITIES, by the outcome of speculative decoding (DRAFT), or not at all (NO_COLOURS)."""
        if name != self._quantity:
            self._quantity = name
            self._shade()
            self._describe()
            self.update()

    def _shade(self) -> None:
        self._shades = Shades(self._theme, QUANTITIES[self._quantity]) if self._quantity in QUANTITIES else None

    @property
    def quantity(self) -> str:
        """The key of the colouring, as in `set_quantity`."""
        return self._quantity

    @property
    def _font(self) -> QFont:
        return self._theme.mono_font(0.95) if self._is_code else self._theme.font()

    @property
    def _words(self) -> tuple[str, ...]:
        return self.read_text.words[self._first :] if self.read_text is not None else ()

    # -- geometry ------------------------------------------------------------------------------------------------------

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        rows = self._layout_for(width).n_rows
        return max(rows * self._row_height - _LEADING, 0) + 3  # no leading after the last row

    def sizeHint(self) -> QSize:
        width = max(min(int(self._widths.sum()), 480), 40)
        return QSize(width, self.heightForWidth(self.width() if self.width() > 40 else width))

    def minimumSizeHint(self) -> QSize:
        return QSize(40, self._row_height)

    def position_at(self, point: QPointF) -> int | None:
        """Return the position in the text of the token at a point of the widget, or None."""
        layout, row = self._layout_for(self.width()), int(point.y()) // self._row_height
        piece = layout.at(int(point.x()) + self._hidden(row), row) if 0 <= row < layout.n_rows else None
        return None if piece is None or piece >= len(self._pieces) else self._first + int(self._owners[piece])

    def rects_of(self, position: int) -> list[QRect]:
        """Return the rectangles in the widget of the token at a position of the text, one per line that it spans."""
        return [self._rect_of_piece(piece) for piece in self._pieces_of(position - self._first)]

    def rect_of(self, position: int) -> QRect:
        """Return the widest rectangle of the token at a position of the text."""
        return max(self.rects_of(position), key=QRect.width)

    def _pieces_of(self, index: int) -> range:
        first, end = np.searchsorted(self._owners, [index, index + 1]).tolist()
        return range(first, end)

    def _rect_of_piece(self, piece: int) -> QRect:
        layout = self._layout_for(self.width())
        row, left, width = layout.row_of(piece), layout.x_of(piece), layout.width_of(piece)
        hidden = self._hidden(row)
        left, width = (left - hidden, width) if left else (0, width - hidden)
        height = self._row_height - _LEADING + 2
        return QRect(left, row * self._row_height, min(width, self.width() - left), height)

    def _hidden(self, row: int) -> int:
        """Return the width of the hidden space at the beginning of a line, in pixels.

        Only plain text (NO_COLOURS) hides it, in lines that begin because of wrapping.
        """
        layout = self._layout_for(self.width())
        first = layout.pills_in(row).start
        if self._quantity != NO_COLOURS or not first or self._pieces[first - 1].endswith(_LINE_FEED):
            return 0
        piece = self._pieces[first]
        marks = piece[: len(piece) - len(piece.lstrip(_SPACE))]
        return min(QFontMetrics(self._font).horizontalAdvance(marks), layout.width_of(first) - 1) if marks else 0

    def _measure(self) -> None:
        """Split the tokens after line feeds, since an indentation belongs to the next line, and measure the pieces."""
        metrics = QFontMetricsF(self._font)
        broken = [_LINE.findall(word[:_MAX_CHARS]) or [""] for word in self._words]
        self._pieces = list(itertools.chain.from_iterable(broken))
        self._owners = np.repeat(np.arange(len(broken)), np.array([len(pieces) for pieces in broken], np.int64))
        self._widths, self._is_inside = _measure_words(self._pieces, metrics)
        if self._is_code:  # fixed-width font: widths do not depend on the neighbours
            self._widths = np.array([math.ceil(metrics.horizontalAdvance(piece)) for piece in self._pieces], np.int64)
        self._row_height = QFontMetrics(self._font).height() + _LEADING
        self._layout = None
        self.updateGeometry()
        self.update()

    def _layout_for(self, width: int) -> PillLayout:
        if self._layout is None or self._laid_out != width:
            ends = np.array([piece.endswith(_LINE_FEED) for piece in self._pieces], bool)
            widths = np.minimum(self._widths, width)
            ends |= _ends_of_lines(widths, ends, self._is_inside, width)
            self._layout, self._laid_out = PillLayout(widths, ends, width), width
        return self._layout

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.updateGeometry()

    # -- painting ------------------------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setFont(self._font)
        layout = self._layout_for(self.width())
        first = max(event.rect().top() // self._row_height, 0)
        for row in range(first, min(event.rect().bottom() // self._row_height + 1, layout.n_rows)):
            for piece in layout.pills_in(row):
                self._paint_piece(painter, piece)
        if self.position is not None:
            is_locked = self._focus.locked == self.position
            painter.setPen(QPen(self._theme.theme.color("text"), 2 if is_locked else 1))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRects([rect.adjusted(-1, 0, 0, 0) for rect in self.rects_of(self.position)])
        painter.end()

    def _paint_piece(self, painter: QPainter, piece: int) -> None:
        word, rect = self._pieces[piece], self._rect_of_piece(piece)
        ink = self._paint_ground(painter, int(self._owners[piece]), rect)
        text = QRect(rect)
        middle = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        n_marks = len(word) - len(word.lstrip(_SPACE))
        if self._quantity == NO_COLOURS:  # plain text has spaces instead of marks
            if rect.width() >= int(self._widths[piece]):  # otherwise `_hidden` has removed the space
                text.adjust(painter.fontMetrics().horizontalAdvance(word[:n_marks]), 0, 0, 0)
            word = word[n_marks:].removesuffix(_LINE_FEED).replace(_SPACE, " ")
        elif 0 < n_marks < len(word):  # marks of spaces are drawn faintly
            faint = QColor(ink)
            faint.setAlphaF(0.4)
            painter.setPen(faint)
            painter.drawText(text, middle, word[:n_marks])
            text.adjust(painter.fontMetrics().horizontalAdvance(word[:n_marks]), 0, 0, 0)
            word = word[n_marks:]
        painter.setPen(ink)
        painter.drawText(text, middle, word)

    def _paint_ground(self, painter: QPainter, index: int, rect: QRect) -> QColor:
        """Paint the background of a token and return the colour of its text."""
        colors, values, inner = self._theme.theme, self.values[index], rect.adjusted(0, 0, -1, 0)
        if self._quantity == NO_COLOURS:
            return colors.color("accent" if values is None else "text")
        if self._shades is not None:
            if values is None:
                return colors.color("muted")
            ground, ink = self._shades.of(QUANTITIES[self._quantity].of(*values))
            painter.fillRect(inner, ground)
            return ink
        mark = self.read_text.mark_at(self._first + index) if self.read_text is not None else None
        if mark is None:
            return colors.color("muted")
        painted = draft_colours(self._theme, mark.outcome)
        if painted is None:
            return colors.color("text")
        painter.fillRect(inner, painted[0])
        if mark.outcome == "replaced":
            painter.fillRect(inner.adjusted(0, inner.height() - 2, 0, 0), painted[1])
        return painted[1]

    # -- input ---------------------------------------------------------------------------------------------------------

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        self._hover(self.position_at(event.position()))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        position = self.position_at(event.position())
        if event.button() != Qt.MouseButton.LeftButton or position is None or self.read_text is None:
            event.ignore()
        else:
            self._focus.show(self.read_text)
            self._focus.press(position)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        steps = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}
        rows = {Qt.Key.Key_Up: -1, Qt.Key.Key_Down: 1}
        if event.key() == Qt.Key.Key_Escape and self.position is not None:
            self._focus.unlock()
        elif event.key() in steps and self.read_text is not None:
            self._walk(steps[Qt.Key(event.key())])
        elif event.key() in rows and self.position is not None:
            index, by = self.position - self._first, rows[Qt.Key(event.key())]
            own = self._pieces_of(index)
            beside = self._layout_for(self.width()).neighbour(own[0] if by < 0 else own[-1], by)
            self._walk(int(self._owners[beside]) - index)
        else:
            super().keyPressEvent(event)

    def _walk(self, by: int) -> None:
        assert self.read_text is not None
        self._focus.show(self.read_text)
        self._focus.walk(by)
        if self.position is not None:
            self.walked.emit(self.rect_of(self.position))

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Leave:
            self._hover(None)
        elif event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            self.show_tip(event.globalPos(), self.position_at(QPointF(event.pos())))
            return True
        return super().event(event)

    def show_tip(self, at: QPoint, position: int | None) -> None:
        tip = self.tip_of(position) if position is not None else ()
        if position is None or not tip:
            QToolTip.hideText()
        else:  # a token may look like markup
            QToolTip.showText(at, "".join(f"<p>{html.escape(line)}</p>" for line in tip), self, self.rect_of(position))

    def tip_of(self, position: int) -> tuple[str, ...]:
        """Return the lines of the tooltip of the token at a position of the text; () for no tooltip."""
        text, values = self.read_text, self.values[position - self._first]
        if text is None:
            return ()
        word, mark = text.words[position], text.mark_at(position)
        lines = (token_facts(word, *values) if values is not None else "", mark.sentence(word) if mark else "")
        return tuple(filter(None, reversed(lines) if self._quantity == DRAFT else lines))

    @property
    def _is_mine(self) -> bool:
        return self.read_text is not None and self._focus.text is self.read_text

    def _hover(self, position: int | None) -> None:
        if self._focus.locked is not None or self.read_text is None or (position is None and not self._is_mine):
            return
        if position is not None:
            self._focus.show(self.read_text)
        self._focus.hover(position)

    @Slot()
    def _on_focus(self) -> None:
        position = self._focus.position if self._is_mine else None
        shown = None if position is None or position < self._first else position
        if shown != self.position or shown is not None:
            self.position = shown
            self.update()

    @Slot()
    def _restyle(self) -> None:
        self._shade()
        self._measure()


def _measure_words(pieces: Sequence[str], metrics: QFontMetricsF) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the widths (n,) of pieces of text in pixels, and whether each continues the word of the piece before (n,).

    The pieces of a word are placed as if it were painted whole: their positions are rounded together and include the
    kerning between them.
    """
    known: dict[tuple[str, str], float] = {}
    widths, inside = np.zeros(len(pieces)), np.zeros(len(pieces), np.bool_)
    before = ""
    for i, piece in enumerate(pieces):
        inside[i] = bool(before) and not before.endswith((_SPACE, _LINE_FEED)) and piece[:1] not in (_SPACE, _LINE_FEED)
        pair = (before if inside[i] else "", piece)
        if pair not in known:
            known[pair] = metrics.horizontalAdvance("".join(pair)) - (
                metrics.horizontalAdvance(pair[0]) if pair[0] else 0
            )
        widths[i] = known[pair]
        before = piece
    edges = np.concatenate(([0.0], np.cumsum(widths)))
    word_starts = np.maximum.accumulate(np.where(inside, 0, np.arange(len(pieces))))
    left = edges[word_starts]  # the start of its word: a word has the same width on every line
    return np.ceil(edges[1:] - left).astype(np.int64) - np.ceil(edges[:-1] - left).astype(np.int64), inside


def _ends_of_lines(
    widths: NDArray[np.int64], ends: NDArray[np.bool_], inside: NDArray[np.bool_], available: int
) -> NDArray[np.bool_]:
    """Return after which pieces (n,) to end a line early, so that no word that fits into one line is broken."""
    breaks = np.zeros(len(widths), np.bool_)
    starts = np.append(np.flatnonzero(~inside), len(widths)).tolist()
    sums = np.concatenate(([0], np.cumsum(widths)))
    left = 0
    for start, end in itertools.pairwise(starts):
        word = int(sums[end] - sums[start])
        if left and left + word > available and word <= available:
            breaks[start - 1], left = True, 0
        if ends[end - 1]:
            left = 0
        elif word <= available:
            left += word
        else:  # a word longer than a line is broken anywhere
            left = (left + word) % available
    return breaks
