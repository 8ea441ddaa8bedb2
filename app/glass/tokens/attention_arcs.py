"""The attention of one token as arcs behind the text; for cross-attention, from one text to the other."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QPointF, QRect, QRectF, QSize, Qt, Slot
from PySide6.QtGui import (
    QBrush,
    QFontMetrics,
    QHelpEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPainterPath,
    QPaintEvent,
    QPen,
    QResizeEvent,
)
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from terrarium.app.glass.focus import Focus
from terrarium.app.kit.basics import plain_tip
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.kit.tokens.pill_layout import PillLayout
from terrarium.app.plots.attention_pictures import format_share, strongest
from terrarium.app.plots.pictures import Floats
from terrarium.models.number_words import format_count

_MAX_ROWS = 10
_WALK = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}
_ARC_HEIGHT = 20  # pixels above a line
_PAD, _GAP = 5, 4
_MAX_CHARS = 18
"""Longer tokens are truncated to this many characters."""


class AttentionArcs(QWidget):
    """A text that shows the attention weight of each token for one query token, as an arc, a bar and a number.

    In the text of the queries, hovering, clicks, arrow keys and Esc change a Focus.
    """

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._words: Sequence[str] = ()
        self._others: Sequence[str] | None = None
        self._focus: Focus | None = None
        self._row: Floats | None = None
        self._query: int | None = None
        self._marked: int | None = None
        self._top_keys: list[int] = []
        self._flow: _TokenFlow | None = None
        self._keys: _TokenFlow | None = None
        self._pointed: int | None = None
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setSizePolicy(policy)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("What the token attends to. Arrow keys move the token, Escape lets go of it.")
        theme.theme_changed.connect(self._arrange)

    def show_texts(self, words: Sequence[str], others: Sequence[str] | None, focus: Focus) -> None:
        """Show the text of `focus`, with the tokens `words`. others: the key tokens if they are another text's."""
        self._words, self._others, self._focus = words, others, focus
        self._row, self._query, self._marked, self._top_keys = None, None, None, []
        self._arrange()

    def show_row(self, row: Floats | None, query: int | None, marked: int | None) -> None:
        """Show the attention of the token at position `query`.

        Args:
            row: (S) the attention weights, NaN where masked; None if unknown.
            marked: the position of the token in focus if it is not `query`, else None.
        """
        self._row, self._query, self._marked = row, query, marked
        self._top_keys = strongest(row) if row is not None else []
        words = [] if row is None else [f"{self._key_words[i]} {format_share(float(row[i]))}" for i in self._top_keys]
        self.setAccessibleDescription(", ".join(words))
        self._fold()
        self.update()

    @property
    def top_keys(self) -> list[int]:
        """The positions of the tokens with an arc, by descending weight."""
        return self._top_keys

    @property
    def _key_words(self) -> Sequence[str]:
        return self._words if self._others is None else self._others

    def rect_of(self, position: int) -> QRectF:
        """Return the rectangle of a query token."""
        assert self._flow is not None
        return self._flow.rect(position)

    # -- Layout --------------------------------------------------------------------------------------------------------

    @Slot()
    def _arrange(self) -> None:
        if not self._words:
            return
        width = max(self.width() - 2, 60)
        if self._others is None:
            self._flow = self._keys = _TokenFlow(self._theme, self._words, width, 0)
        else:
            line = self._caption_line
            self._keys = _TokenFlow(self._theme, self._others, width, line - _ARC_HEIGHT + SPACE // 2)
            self._flow = _TokenFlow(self._theme, self._words, width, self._keys.bottom + line)
        self._fold()
        self.update()

    def _fold(self) -> None:
        """Fold the lines without an arc if the text is long, and fit the height."""
        if self._flow is None:
            return
        if self.is_folded:
            positions = [position for position in (self._query, self._marked) if position is not None]
            self._flow.fold([*self._top_keys, *positions] if self._others is None else positions)
        height = self._flow.bottom + 2
        if height != self.minimumHeight():
            self.setFixedHeight(height)

    @property
    def is_folded(self) -> bool:
        """Whether the text is so long that lines without an arc are folded."""
        return self._flow is not None and self._flow.n_rows > _MAX_ROWS

    @property
    def _caption_line(self) -> int:
        return QFontMetrics(self._theme.font(0.85)).height()

    def sizeHint(self) -> QSize:
        return QSize(420, self._flow.bottom + 2 if self._flow is not None else 60)

    def minimumSizeHint(self) -> QSize:
        return QSize(120, self.minimumHeight())

    def resizeEvent(self, event: QResizeEvent) -> None:
        if event.size().width() != event.oldSize().width():
            self._arrange()

    # -- Input ---------------------------------------------------------------------------------------------------------

    def _position_at(self, point: QPointF) -> int | None:
        return self._flow.at(point) if self._flow is not None else None

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if not self.is_folded:  # otherwise, hovering would fold lines under the pointer
            self._point(self._position_at(event.position()))

    def leaveEvent(self, event: QEvent) -> None:
        self._point(None)

    def _point(self, position: int | None) -> None:
        if position != self._pointed and self._focus is not None:
            self._pointed = position
            self._focus.hover(position)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        position = self._position_at(event.position())
        if position is not None and self._focus is not None and event.button() == Qt.MouseButton.LeftButton:
            self._focus.press(position)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        way = _WALK.get(Qt.Key(event.key()))
        if self._focus is not None and way is not None:
            self._focus.walk(way)
        elif self._focus is not None and event.key() == Qt.Key.Key_Escape:
            self._focus.unlock()
        else:
            super().keyPressEvent(event)

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip and self._keys is not None:
            key = self._keys.at(QPointF(event.pos()))
            if key is not None and self._row is not None:
                QToolTip.showText(event.globalPos(), plain_tip(self.describe_key(key)), self)
                return True
        return super().event(event)

    def describe_key(self, key: int) -> str:
        """Return the tooltip of a key token."""
        assert self._row is not None
        weight = float(self._row[key])
        share = "is masked here" if math.isnan(weight) else f"gets {format_share(weight)} of the attention"
        return f"{self._key_words[key]} ({key + 1}) {share}"

    # -- Painting ------------------------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        if self._flow is None or self._keys is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        seen = event.rect()
        if self._row is not None and self._query is not None:
            for key in reversed(self._top_keys):
                self._draw_arc(painter, self._flow, self._keys, key)
        self._draw_tokens(painter, self._keys, seen, are_keys=True)
        if self._flow is not self._keys:
            self._draw_captions(painter, self._keys)
            self._draw_tokens(painter, self._flow, seen, are_keys=False)
        self._draw_gaps(painter, self._flow)

    def _draw_words(self, painter: QPainter, room: QRectF, align: Qt.AlignmentFlag, words: str) -> None:
        """Draw text on a background that hides the arcs behind it."""
        ground = painter.boundingRect(room, int(align), words).adjusted(-1, 0, 1, 0)
        painter.fillRect(ground, self._theme.theme.color("surface"))
        painter.drawText(room, align, words)

    def _draw_gaps(self, painter: QPainter, flow: _TokenFlow) -> None:
        painter.setFont(self._theme.font(0.75))
        painter.setPen(self._theme.theme.color("hint"))
        for middle, n in flow.gaps():
            words = f"⋯ {format_count(n, 'line')} hidden ⋯"
            room = QRectF(0, middle - 10, self.width(), 20)
            self._draw_words(painter, room, Qt.AlignmentFlag.AlignCenter, words)

    def _draw_captions(self, painter: QPainter, keys: _TokenFlow) -> None:
        painter.setFont(self._theme.font(0.85))
        painter.setPen(self._theme.theme.color("muted"))
        line, align = self._caption_line, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        self._draw_words(painter, QRectF(0, 0, self.width(), line), align, "Source: attended to")
        self._draw_words(painter, QRectF(0, keys.bottom, self.width(), line), align, "Target: attending")

    def _draw_tokens(self, painter: QPainter, flow: _TokenFlow, seen: QRect, *, are_keys: bool) -> None:
        colors = self._theme.theme
        for i in flow.within(seen.top(), seen.bottom()):
            pill = flow.rect(i)
            weight = float(self._row[i]) if are_keys and self._row is not None else 0.0
            is_hidden = math.isnan(weight)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(colors.color("sunken"))
            painter.drawRoundedRect(pill, 4, 4)
            if is_hidden:
                painter.setBrush(QBrush(colors.color("border_strong", 0.45), Qt.BrushStyle.BDiagPattern))
                painter.drawRoundedRect(pill, 4, 4)
            elif weight > 0:
                painter.setBrush(colors.color("accent", min(0.55 * math.sqrt(weight), 0.55)))
                painter.drawRoundedRect(pill, 4, 4)
            self._draw_outline(painter, flow, i, pill)
            painter.setFont(self._theme.mono_font(0.92))
            painter.setPen(colors.color("hint" if is_hidden else "text"))
            painter.drawText(pill, Qt.AlignmentFlag.AlignCenter, flow.words[i])
            if are_keys and weight > 0:
                self._draw_amount(painter, flow, pill, weight, named=i in self._top_keys)

    def _draw_outline(self, painter: QPainter, flow: _TokenFlow, position: int, pill: QRectF) -> None:
        if flow is not self._flow or position not in (self._query, self._marked):
            return
        dashed = position != self._query
        painter.setPen(
            QPen(self._theme.theme.color("accent"), 1.5, Qt.PenStyle.DashLine if dashed else Qt.PenStyle.SolidLine)
        )
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRoundedRect(pill.adjusted(0.5, 0.5, -0.5, -0.5), 4, 4)

    def _draw_amount(self, painter: QPainter, flow: _TokenFlow, pill: QRectF, weight: float, *, named: bool) -> None:
        """Draw a bar proportional to the weight and, if `named`, the weight as a number."""
        colors = self._theme.theme
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colors.color("accent"))
        painter.drawRect(QRectF(pill.left(), pill.bottom() + 1.5, max(weight * pill.width(), 0.5), 2.5))
        if named:
            painter.setFont(self._theme.font(0.75))
            painter.setPen(colors.color("muted"))
            below = QRectF(pill.left() - 10, pill.bottom() + 4, pill.width() + 20, flow.below - 4)
            self._draw_words(painter, below, Qt.AlignmentFlag.AlignCenter, format_share(weight))

    def _draw_arc(self, painter: QPainter, flow: _TokenFlow, keys: _TokenFlow, key: int) -> None:
        assert self._row is not None
        assert self._query is not None
        weight = float(self._row[key])
        looking, seen = flow.rect(self._query), keys.rect(key)
        start, end = QPointF(looking.center().x(), looking.top()), QPointF(seen.center().x(), seen.top())
        path = QPainterPath(start)
        apart = abs(start.x() - end.x())
        if flow is keys and flow.row_of(self._query) == keys.row_of(key):
            # A cubic curve reaches three quarters of the way to its control points.
            high = min(14 + 0.42 * apart, (_ARC_HEIGHT - 3) / 0.75)
            if key == self._query:
                path.cubicTo(start + QPointF(-12, -18), start + QPointF(12, -18), end)
            else:
                path.cubicTo(start - QPointF(0, high), end - QPointF(0, high), end)
        else:
            if seen.center().y() < looking.center().y():
                end.setY(seen.bottom() + keys.below)
            else:
                start.setY(looking.bottom() + flow.below)
            middle = (start.y() + end.y()) / 2
            path.cubicTo(QPointF(start.x(), middle), QPointF(end.x(), middle), end)
        color = self._theme.theme.color("accent", 0.25 + 0.75 * weight)
        painter.setPen(QPen(color, 1 + 6 * weight, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawPath(path)


class _TokenFlow:
    """A layout of tokens in lines no wider than `width`, from `top` down, some of which can be folded.

    words: the displayed tokens, truncated. Sizes depend on the fonts of the theme, so create another if it changes.
    """

    def __init__(self, theme: ThemeProvider, words: Sequence[str], width: int, top: int) -> None:
        self.words = [word if len(word) <= _MAX_CHARS else f"{word[: _MAX_CHARS - 1]}…" for word in words]
        metrics, numbers = QFontMetrics(theme.mono_font(0.92)), QFontMetrics(theme.font(0.75))
        self.pill_height = metrics.height() + 4
        self.below = numbers.height() + 4
        self.row_height = _ARC_HEIGHT + self.pill_height + self.below
        self._top = top
        min_width = numbers.horizontalAdvance("100 %")
        wide = {word: max(metrics.horizontalAdvance(word) + 2 * _PAD, min_width) + _GAP for word in set(self.words)}
        widths = np.array([wide[word] for word in self.words], np.int64)
        ends = np.array([word.endswith(("⏎", "\n")) for word in self.words], np.bool_)
        self._layout = PillLayout(widths, ends, width)
        self._fold_height = numbers.height() + 4
        self._tops = np.zeros(0, np.int64)
        self.unfold()

    @property
    def n_rows(self) -> int:
        """The number of lines, folded or not."""
        return self._layout.n_rows

    @property
    def bottom(self) -> int:
        """The y coordinate of the bottom of the last line."""
        return int(self._tops[-1])

    def unfold(self) -> None:
        """Show all lines."""
        self._set_tops(np.ones(self.n_rows, np.bool_))

    def fold(self, indices: Iterable[int]) -> None:
        """Show only the lines of these tokens; consecutive other lines become one narrow gap."""
        shown = np.zeros(self.n_rows, np.bool_)
        shown[[self._layout.row_of(index) for index in indices]] = True
        self._set_tops(shown)

    def _set_tops(self, shown: NDArray[np.bool_]) -> None:
        self._shown = shown
        begins_gap = ~shown & np.concatenate(([True], shown[:-1]))
        heights = np.where(shown, self.row_height, np.where(begins_gap, self._fold_height, 0))
        self._tops = self._top + np.concatenate(([0], np.cumsum(heights)))

    def gaps(self) -> list[tuple[float, int]]:
        """Return the (y coordinate of the centre, number of folded lines) of each gap."""
        edges = np.flatnonzero(np.diff(np.concatenate(([True], self._shown, [True])).astype(np.int8)))
        pairs = zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
        return [(float(self._tops[first]) + self._fold_height / 2, end - first) for first, end in pairs]

    def rect(self, index: int) -> QRectF:
        """Return the rectangle of a token's pill."""
        y = int(self._tops[self._layout.row_of(index)]) + _ARC_HEIGHT
        return QRectF(self._layout.x_of(index), y, self._layout.width_of(index) - _GAP, self.pill_height)

    def row_of(self, index: int) -> int:
        """Return the index of a token's line."""
        return self._layout.row_of(index)

    def at(self, point: QPointF) -> int | None:
        """Return the index of the token at a point, including the space above and below its pill, or None."""
        row = int(np.searchsorted(self._tops, point.y(), "right")) - 1
        return self._layout.at(int(point.x()), row) if 0 <= row < self.n_rows and self._shown[row] else None

    def within(self, top: float, bottom: float) -> list[int]:
        """Return the indices of the tokens in unfolded lines between two y coordinates."""
        first = max(int(np.searchsorted(self._tops, top, "right")) - 1, 0)
        rows = (row for row in range(first, self.n_rows) if self._tops[row] <= bottom and self._shown[row])
        return [index for row in rows for index in self._layout.pills_in(row)]
