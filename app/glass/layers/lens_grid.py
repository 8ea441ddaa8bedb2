"""The logit lens as a table: the top token of every layer at the last positions, coloured by probability."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFontMetrics, QKeyEvent, QMouseEvent, QPainter, QPen
from PySide6.QtWidgets import QWidget

from terrarium.app.kit.colours import readable_on
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.plots.heat_map import HeatMap, colour_table
from terrarium.app.plots.pictures import Axis, Floats, HeatPicture

_FONT = 0.82
_FEW = 14  # up to this many layers, rows are taller
_MIDDLE = Qt.AlignmentFlag.AlignCenter


@dataclass(frozen=True, kw_only=True, eq=False)
class LensTable:
    """The content of the grid.

    layers: the names of the rows (L + 1). read_words: the token read at each position (N). next_words: the token after
    it, or ''. words: the top tokens (L + 1) × N. values: their probabilities (L + 1, N). describe(row, column): returns
    the tooltip of a cell.
    """

    layers: Sequence[str]
    read_words: Sequence[str]
    next_words: Sequence[str]
    words: Sequence[Sequence[str]]
    values: Floats
    describe: Callable[[int, int], str]


class LensGrid(HeatMap):
    """The logit lens as a heat map: layers down, positions across.

    Signals:
        chosen(row, column): a cell was clicked, or Enter was pressed on it.
    """

    chosen = Signal(int, int)

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(theme, parent)
        self._table: LensTable | None = None
        self._in_focus = -1
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    @property
    def table(self) -> LensTable | None:
        """The displayed table, or None."""
        return self._table

    def show_table(self, table: LensTable, in_focus: int) -> None:
        """Show another table; column `in_focus` is outlined, −1 for none."""
        self._table, self._in_focus = table, in_focus
        rows, columns = table.values.shape
        self.set_picture(
            HeatPicture(
                title="Layers",
                values=table.values,
                x=Axis(title="positions", low=0, high=columns),
                y=Axis(title="layers", low=rows, high=0),
                colours="probability",
                low=0.0,
                high=1.0,
                bar=(),
                describe=table.describe,
            )
        )
        self.setFixedHeight(self.sizeHint().height())

    def columns_for(self, width: int) -> int:
        """Return how many columns fit into a width in pixels: 3 to 10."""
        return max(3, min(10, int((width - self._left) / (9 * self._cell_metrics().horizontalAdvance("0")))))

    def sizeHint(self) -> QSize:
        rows = len(self._table.layers) if self._table is not None else 6
        return QSize(420, rows * self._row_height + 2 * self._head_height)

    def minimumSizeHint(self) -> QSize:
        return QSize(240, self.sizeHint().height())

    def _cell_metrics(self) -> QFontMetrics:
        return QFontMetrics(self._theme.mono_font(_FONT))

    @property
    def _row_height(self) -> int:
        few = self._table is not None and len(self._table.layers) <= _FEW
        return self._cell_metrics().height() + (9 if few else 3)

    @property
    def _head_height(self) -> int:
        return self._row_height + 4

    @property
    def _left(self) -> int:
        return QFontMetrics(self._theme.font(0.9)).horizontalAdvance("Embedding") + SPACE

    def _room(self) -> QRectF:
        wide = max(self.width() - self._left - 2, 1)
        return QRectF(self._left, self._head_height, wide, max(self.height() - 2 * self._head_height, 1))

    # -- Painting ------------------------------------------------------------------------------------------------------

    def _draw_cells(self, painter: QPainter, area: QRectF, picture: HeatPicture) -> None:
        super()._draw_cells(painter, area, picture)
        table = self._table
        assert table is not None
        metrics, colours = self._cell_metrics(), colour_table(self._theme, "probability")
        painter.setFont(self._theme.mono_font(_FONT))
        for row, words in enumerate(table.words):
            for column, word in enumerate(words):
                cell = self.cell_rect(column, row, area)
                ground = QColor.fromRgb(int(colours[int(255 * min(max(float(table.values[row, column]), 0.0), 1.0))]))
                painter.setPen(readable_on(ground))
                shown = metrics.elidedText(word, Qt.TextElideMode.ElideRight, int(cell.width()) - 4)
                painter.drawText(cell, _MIDDLE, shown)
        painter.setPen(QPen(self._theme.theme.color("border"), 1))
        for column in range(1, len(table.read_words)):
            x = round(self.cell_rect(column, 0, area).left()) + 0.5
            painter.drawLine(QPointF(x, area.top()), QPointF(x, area.bottom()))
        if self._in_focus >= 0:
            first, last = self.cell_rect(self._in_focus, 0), self.cell_rect(self._in_focus, len(table.words) - 1)
            painter.setPen(QPen(self._theme.theme.color("accent"), 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(first.united(last).adjusted(0, 0, -1, 0))

    def _draw_frame(self, painter: QPainter, room: QRectF, title: str, x: Axis, y: Axis) -> None:
        """Draw the names of layers on the left, the tokens read above the cells, and the next tokens below."""
        table = self._table
        assert table is not None
        colors, metrics = self._theme.theme, self._cell_metrics()
        area = self.area
        below = area.bottom() + 2
        painter.setFont(self._theme.font(0.9))
        painter.setPen(colors.color("muted"))
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        for row, name in enumerate(table.layers):
            cell = self.cell_rect(0, row, area)
            painter.drawText(QRectF(0, cell.top(), self._left - SPACE * 0.75, cell.height()), right, name)
        painter.setPen(colors.color("hint"))
        for top, words in ((0.0, "read"), (below, "next" if any(table.next_words) else "")):
            painter.drawText(QRectF(0, top, self._left - SPACE * 0.75, self._row_height), right, words)
        painter.setFont(self._theme.mono_font(_FONT))
        for column, (read_words, next_words) in enumerate(zip(table.read_words, table.next_words, strict=True)):
            cell = self.cell_rect(column, 0, area)
            painter.setPen(colors.color("text" if column == self._in_focus else "muted"))
            for top, word in ((0.0, read_words), (below, next_words)):
                shown = metrics.elidedText(word, Qt.TextElideMode.ElideRight, int(cell.width()) - 4)
                painter.drawText(QRectF(cell.left(), top, cell.width(), self._row_height), _MIDDLE, shown)

    def _draw_bar(self, painter: QPainter, area: QRectF, picture: HeatPicture) -> None:
        """Draw no colour bar, since the panel has a legend."""

    # -- Choosing ------------------------------------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:
        spot = self.spot_at(event.position())
        if event.button() == Qt.MouseButton.LeftButton and spot is not None:
            self.chosen.emit(spot[1], spot[0])

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space) and self.spot is not None:
            self.chosen.emit(self.spot[1], self.spot[0])
        else:
            super().keyPressEvent(event)
