"""The tokens of several tokenizers, aligned character by character; only the visible part is drawn."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QFontMetrics, QHelpEvent, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QAbstractScrollArea, QFrame, QToolTip, QWidget

from terrarium.app.kit.basics import plain_tip
from terrarium.app.kit.layout.relayout import cut_row
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.tokenizer.compare.line_painter import BLOCK_GAP, LinePainter, Measures
from terrarium.app.tokenizer.compare.spot import AlignedRow, Spot, describe_spot, spot_at, token_spot
from terrarium.app.tokenizer.compare.text_grid import GridLines, TextGrid

_MIN_COLUMNS = 8
_WIDEST_NAME = 150  # pixels at the default text size


class AlignedView(QAbstractScrollArea):
    """A text in blocks, one per line; in each block every tokenizer has a row of pills.

    Hovering marks the same characters in all rows. A click or the arrow keys pick a token, which stays selected until
    it is clicked again or Escape is pressed.

    Signals:
        pointed(Spot | None): the current spot has changed.
    """

    pointed = Signal(object)

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._grid = TextGrid("")
        self._rows: Sequence[AlignedRow] = ()
        self._lines = GridLines(self._grid, 1)
        self._show_ids = False
        self._hover: Spot | None = None
        self._pick: Spot | None = None
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("Tokens of each tokenizer, aligned by character")
        self.viewport().setMouseTracking(True)
        self._relayout()
        theme.theme_changed.connect(self._relayout)

    def set_rows(self, grid: TextGrid, rows: Sequence[AlignedRow]) -> None:
        """Show the tokens of a text; the scroll position remains, the current spot is cleared."""
        self._grid, self._rows = grid, rows
        self._hover = self._pick = None
        self.pointed.emit(None)
        counts = ", ".join(f"{row.name} {len(row.tokens)} tokens" for row in rows)
        self.setAccessibleDescription(f"{counts}. Use the arrow keys to move between them.")
        self._relayout()

    def set_show_ids(self, show: bool) -> None:
        """Show or hide the id below each token that is wide enough."""
        self._show_ids = show
        self._relayout()

    @property
    def rows(self) -> Sequence[AlignedRow]:
        """The rows from top to bottom."""
        return self._rows

    @property
    def current(self) -> Spot | None:
        """The picked spot, else the one under the pointer."""
        return self._pick or self._hover

    def pick(self, spot: Spot | None) -> None:
        """Select a spot and scroll to it; None clears the selection."""
        self._pick = spot
        if spot is not None:
            self._scroll_to(spot)
        self._on_current_changed()

    def sizeHint(self) -> QSize:
        return QSize(640, 260)

    def minimumSizeHint(self) -> QSize:
        return QSize(240, self._measures.block_height(2) + SPACE)

    # -- geometry ------------------------------------------------------------------------------------------------------

    def _relayout(self) -> None:
        names = QFontMetrics(self._theme.font(0.9))
        widest = max((names.horizontalAdvance(row.name) for row in self._rows), default=0)
        widest = min(widest, round(_WIDEST_NAME * self._theme.text_scale), self.viewport().width() // 4)
        self._measures = Measures(self._theme, widest, show_ids=self._show_ids)
        available = (self.viewport().width() - self._measures.left - self._measures.right) / self._measures.cell
        self._lines = GridLines(self._grid, max(int(available), _MIN_COLUMNS))
        bar, contents = self.verticalScrollBar(), len(self._lines) * self._block_height
        cut = cut_row(self.contentsRect().height() - SPACE // 2 + BLOCK_GAP, self._block_height, contents)
        self.setViewportMargins(0, 0, 0, cut)
        bar.setRange(0, max(0, contents + SPACE - self.viewport().height()))
        bar.setPageStep(self.viewport().height())
        bar.setSingleStep(max(self._block_height // 3, 1))
        self.viewport().update()

    @property
    def _block_height(self) -> int:
        return self._measures.block_height(len(self._rows))

    def _top_of(self, line: int) -> int:
        return SPACE // 2 + line * self._block_height - self.verticalScrollBar().value()

    def spot_at(self, point: QPointF) -> Spot | None:
        """Return the spot at a point of the viewport, None outside the text."""
        number, below = divmod(int(point.y()) - self._top_of(0), self._block_height)
        row = below // self._measures.row_height
        if not (self._rows and 0 <= number < len(self._lines) and row < len(self._rows)):
            return None
        line = self._lines[number]
        column = (point.x() - self._measures.left) / self._measures.cell
        cluster = line.cluster_at(column)
        if cluster is None:
            return None
        i = cluster - line.start
        return spot_at(self._rows, row, cluster + (column - line.left[i]) / line.columns[i])

    def rect_of(self, spot: Spot) -> QRectF:
        """Return the rectangle of a spot (its first part) in the viewport."""
        number = self._lines.line_of(spot.start)
        left, right = self._lines[number].spans(spot.start, spot.end)[0]
        cell = self._measures.cell
        top = self._top_of(number) + spot.row * self._measures.row_height
        return QRectF(self._measures.left + left * cell, top, (right - left) * cell, self._measures.pill_height)

    def _scroll_to(self, spot: Spot) -> None:
        bar = self.verticalScrollBar()
        top = self._top_of(self._lines.line_of(spot.start))
        if top < 0:
            bar.setValue(bar.value() + top - SPACE)
        elif top + self._block_height > self.viewport().height():
            bar.setValue(bar.value() + top + self._block_height - self.viewport().height())

    # -- painting ------------------------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        if not self._rows or not len(self._lines):
            return
        painter = QPainter(self.viewport())
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        draw = LinePainter(painter, self._theme, self._measures, self._grid, self._rows, self.current)
        for number in self._visible(event):
            draw.paint(self._lines[number], self._top_of(number), self.viewport().width())
        painter.end()

    def _visible(self, event: QPaintEvent) -> range:
        first = (event.rect().top() - self._top_of(0)) // self._block_height
        last = (event.rect().bottom() - self._top_of(0)) // self._block_height
        return range(max(first, 0), min(last + 1, len(self._lines)))

    # -- input ---------------------------------------------------------------------------------------------------------

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        self._set_hover(self.spot_at(event.position()))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            spot = self.spot_at(event.position())
            self.pick(None if spot == self._pick else spot)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        event.accept()

    def viewportEvent(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Leave:
            self._set_hover(None)
        elif event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            spot = self.spot_at(QPointF(event.pos()))
            words = "\n".join(describe_spot(self._grid, self._rows, spot)) if spot is not None else ""
            if event.pos().x() > self.viewport().width() - self._measures.right:
                words = "Number of tokens that begin in this line"
            QToolTip.showText(event.globalPos(), plain_tip(words), self.viewport())
            return True
        return super().viewportEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key = Qt.Key(event.key())
        if key == Qt.Key.Key_Escape and self._pick is not None:
            self.pick(None)
        elif self._rows and key in (Qt.Key.Key_Left, Qt.Key.Key_Right, Qt.Key.Key_Home, Qt.Key.Key_End):
            self._walk(key)
        elif self._rows and key in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            spot = self._pick or spot_at(self._rows, 0, 0.0)
            step = -1 if key == Qt.Key.Key_Up else 1
            row = min(max(spot.row + step, 0), len(self._rows) - 1) if self._pick is not None else 0
            self.pick(spot_at(self._rows, row, spot.start))
        else:
            super().keyPressEvent(event)

    def _walk(self, key: Qt.Key) -> None:
        """Pick the previous, next, first or last token of the row."""
        row = self._pick.row if self._pick is not None else 0
        n = len(self._rows[row].tokens)
        if not n:
            return
        token = self._pick.token if self._pick is not None else -1
        if self._pick is not None and token < 0:  # a character that this tokenizer dropped
            token = self._rows[row].tokens.touching(self._pick.start, self._pick.end).start
            token -= key == Qt.Key.Key_Right
        to = {Qt.Key.Key_Left: token - 1, Qt.Key.Key_Right: token + 1, Qt.Key.Key_Home: 0, Qt.Key.Key_End: n - 1}[key]
        self.pick(token_spot(self._rows, row, min(max(to, 0), n - 1)))

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._relayout()

    def _set_hover(self, spot: Spot | None) -> None:
        if spot != self._hover:
            self._hover = spot
            if self._pick is None:
                self._on_current_changed()

    def _on_current_changed(self) -> None:
        self.viewport().update()
        spot = self.current
        if self._pick is not None:
            self.setAccessibleDescription(". ".join(describe_spot(self._grid, self._rows, self._pick)))
        self.pointed.emit(spot)
