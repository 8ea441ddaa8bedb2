"""The win rates of stages as a matrix: rows win against columns."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal, Slot
from PySide6.QtGui import QBrush, QFontMetrics, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen, QResizeEvent

from terrarium.app.kit.colours import readable_on
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.plots.figure import Figure
from terrarium.models.alignment.win_rates import Grid
from terrarium.models.number_words import format_count, format_percent
from terrarium.models.preferences.measures import Match

_MAX_CELL = QSize(150, 74)
_MIN_WIDTH = 62
_NAMES = 0.24
"""The part of the width that names have, at most."""
_PALE = 0.85
"""How far the strongest colour goes, so that the numbers stay readable."""


class WinMatrix(Figure):
    """Shows a grid of win rates, which the pointer or the arrow keys read.

    Signals:
        cell_clicked(row, column): a cell was clicked, or Enter pressed on it.
    """

    cell_clicked = Signal(int, int)

    def __init__(self, theme: ThemeProvider) -> None:
        super().__init__(theme)
        self.names: tuple[str, ...] = ()
        self.notes: tuple[str, ...] = ()
        """The text below each name."""
        self.grid: Grid = ()
        self._is_narrow = False

    def show_grid(self, names: Sequence[str], grid: Grid, notes: Sequence[str] = ()) -> None:
        """Show another grid; notes: of each stage, in words."""
        self.names, self.grid, self.notes = tuple(names), grid, tuple(notes)
        self.set_spot(None)
        self.setAccessibleName(f"Win rates of {format_count(len(names), 'stage')}. Arrow keys read them.")
        self._fit()
        self.update()

    def _fit(self) -> None:
        """Claim the room that all numbers need."""
        n = len(self.names)
        bold, small = (QFontMetrics(font) for font in (self._theme.font(bold=True), self._theme.font(0.85)))
        self._is_narrow = self._cell_width < small.horizontalAdvance("88–100 · n 888") + SPACE
        high = bold.height() + (2 if self._is_narrow else 1) * small.height() + 4
        self.setMinimumSize(110 + n * _MIN_WIDTH, self._metrics().height() + SPACE + n * high)

    @property
    def _cell_width(self) -> float:
        return self._area().width() / max(1, len(self.names))

    @Slot()
    def _restyle(self) -> None:
        self._fit()
        super()._restyle()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def sizeHint(self) -> QSize:
        n = len(self.names)
        return QSize(180 + n * _MAX_CELL.width(), 48 + n * _MAX_CELL.height())

    # -- Reading -------------------------------------------------------------------------------------------------------

    def _shape(self) -> tuple[int, int]:
        return len(self.names), len(self.names)

    def spot_at(self, point: QPointF) -> tuple[int, int] | None:
        area, n = self._area(), len(self.names)
        if not n or not area.contains(point):
            return None
        column = int((point.x() - area.left()) / area.width() * n)
        row = int((point.y() - area.top()) / area.height() * n)
        return min(column, n - 1), min(row, n - 1)

    def _words(self, spot: tuple[int, int]) -> str:
        column, row = spot
        if row == column:
            return f"{self.names[row]}: no stage meets itself"
        return describe_match(self.names[row], self.names[column], self.grid[row][column])

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        spot = self.spot_at(event.position())
        if spot is not None and event.button() == Qt.MouseButton.LeftButton and spot[0] != spot[1]:
            self.cell_clicked.emit(spot[1], spot[0])

    def keyPressEvent(self, event: QKeyEvent) -> None:
        is_enter = event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space)
        if is_enter and self.spot is not None and self.spot[0] != self.spot[1]:
            self.cell_clicked.emit(self.spot[1], self.spot[0])
        else:
            super().keyPressEvent(event)

    # -- Painting ------------------------------------------------------------------------------------------------------

    def _area(self) -> QRectF:
        n = max(1, len(self.names))
        metrics = self._metrics()
        widest = max((metrics.horizontalAdvance(name) for name in (*self.names, *self.notes)), default=0) + 2 * SPACE
        left = min(float(widest), max(110.0, _NAMES * self.width()))
        top = metrics.height() + SPACE
        wide = min((self.width() - left) / n, float(_MAX_CELL.width()))
        high = min((self.height() - top) / n, float(_MAX_CELL.height()))
        return QRectF(left, top, n * wide, n * high)

    def paintEvent(self, event: QPaintEvent) -> None:
        if not self.names:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        area, n = self._area(), len(self.names)
        wide, high = area.width() / n, area.height() / n
        self._draw_names(painter, area, wide, high)
        for row, cells in enumerate(self.grid):
            for column, match in enumerate(cells):
                box = QRectF(area.left() + column * wide, area.top() + row * high, wide, high).adjusted(1, 1, -1, -1)
                if row != column:
                    self._draw_cell(painter, box, match)
        if self.spot is not None:
            column, row = self.spot
            box = QRectF(area.left() + column * wide, area.top() + row * high, wide, high)
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(self._theme.theme.color("text"), 1.5))
            painter.drawRoundedRect(box.adjusted(0.5, 0.5, -0.5, -0.5), 5, 5)

    def _draw_names(self, painter: QPainter, area: QRectF, wide: float, high: float) -> None:
        colors, metrics, elide = self._theme.theme, self._metrics(), Qt.TextElideMode.ElideRight
        painter.setFont(self._theme.font(0.9))
        for i, name in enumerate(self.names):
            painter.setPen(colors.color("text"))
            beside = QRectF(0, area.top() + i * high, area.left() - SPACE, high)
            note = self.notes[i] if i < len(self.notes) and high >= 2 * metrics.height() + 2 else ""
            words = metrics.elidedText(name, elide, int(beside.width()))
            if note:
                line = metrics.height()
                middle = beside.center().y()
                upper = QRectF(0, middle - line, beside.width(), line)
                lower = QRectF(0, middle, beside.width(), line)
                painter.drawText(upper, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, words)
                painter.setPen(colors.color("muted"))
                note = metrics.elidedText(note, elide, int(beside.width()))
                painter.drawText(lower, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, note)
            else:
                painter.drawText(beside, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, words)
            painter.setPen(colors.color("text"))
            above = QRectF(area.left() + i * wide + 2, 0, wide - 4, area.top() - SPACE / 2)
            words = metrics.elidedText(name, elide, int(above.width()))
            painter.drawText(above, Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignBottom, words)

    def _draw_cell(self, painter: QPainter, box: QRectF, match: Match | None) -> None:
        colors = self._theme.theme
        painter.setPen(Qt.PenStyle.NoPen)
        if match is None:
            painter.setBrush(colors.color("sunken"))
            painter.drawRoundedRect(box, 5, 5)
            painter.setBrush(QBrush(colors.color("border_strong", 0.35), Qt.BrushStyle.BDiagPattern))
            painter.drawRoundedRect(box, 5, 5)
            return
        share = match.win_rate
        assert share.value is not None
        assert share.interval is not None
        ground = self._theme.diverging_map().map(0.5 + _PALE * (share.value - 0.5), mode="qcolor")
        painter.setBrush(ground)
        painter.drawRoundedRect(box, 5, 5)
        painter.setPen(readable_on(ground))
        low, high = (round(100 * end) for end in share.interval)
        lines = [(format_percent(share.value), self._theme.font(1.0, bold=True))]
        small = self._theme.font(0.85)
        interval, n = f"{low}–{high}", f"n {share.n:,}"
        lines += [(words, small) for words in ((interval, n) if self._is_narrow else (f"{interval} · {n}",))]
        heights = [QFontMetrics(font).height() for _, font in lines]
        y = box.center().y() - sum(heights) / 2
        for (words, font), line in zip(lines, heights, strict=True):
            painter.setFont(font)
            painter.drawText(QRectF(box.left(), y, box.width(), line), Qt.AlignmentFlag.AlignCenter, words)
            y += line


def describe_match(first: str, second: str, match: Match | None) -> str:
    """Describe in a sentence how often a stage won against another."""
    if match is None:
        return f"{first} against {second}: not measured"
    share = match.win_rate
    assert share.value is not None
    assert share.interval is not None
    low, high = (round(100 * end) for end in share.interval)
    return (
        f"{first} against {second}: won {match.n_won:,}, tied {match.n_tied:,}, lost {match.n_lost:,} of {share.n:,}, "
        f"{format_percent(share.value)} (95 % interval {low} to {high} %)"
    )
