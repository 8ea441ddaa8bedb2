"""Paints one line of a text, with a row of pills for each tokenizer."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFontMetrics, QFontMetricsF, QPainter, QPen

from terrarium.app.kit.colours import Theme
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.tokenizer.compare.spot import AlignedRow, Spot
from terrarium.app.tokenizer.compare.text_grid import GridLine, TextGrid

SWATCH = 9  # pixels: the square in a tokenizer's colour
BLOCK_GAP = SPACE + SPACE // 2
"""Pixels below the block of a line."""
_RADIUS = 3.5


class Measures:
    """Sizes in pixels, derived from the fonts: cells, rows, blocks, and margins."""

    def __init__(self, theme: ThemeProvider, name_width: int, *, show_ids: bool) -> None:
        self.font, self.id_font, self.name_font = theme.mono_font(), theme.mono_font(0.72), theme.font(0.9)
        metrics, self.ids = QFontMetrics(self.font), QFontMetrics(self.id_font)
        self.show_ids, self.name_width = show_ids, name_width
        self.cell = math.ceil(QFontMetricsF(self.font).horizontalAdvance("0")) + 2
        self.pill_height = metrics.height() + 3
        self.row_height = self.pill_height + (self.ids.height() if show_ids else 0) + 3
        self.left = SPACE + SWATCH + 6 + name_width + SPACE
        self.right = QFontMetrics(self.name_font).horizontalAdvance("888") + 2 * SPACE

    def block_height(self, n_rows: int) -> int:
        """Return the height of a block of `n_rows`, including the gap below."""
        return max(n_rows, 1) * self.row_height + BLOCK_GAP


def series_color(theme: Theme, number: int) -> QColor:
    """Return the colour with index `number`."""
    colours = (*theme.categories, theme.muted)
    return QColor(colours[number % len(colours)])


class LinePainter:
    """Paints lines with `painter`. spot: the current spot, or None."""

    def __init__(
        self,
        painter: QPainter,
        theme: ThemeProvider,
        measures: Measures,
        grid: TextGrid,
        rows: Sequence[AlignedRow],
        spot: Spot | None,
    ) -> None:
        self._painter, self._theme, self._m = painter, theme.theme, measures
        self._grid, self._rows, self._spot = grid, rows, spot
        self._metrics = QFontMetricsF(measures.font)

    def paint(self, line: GridLine, top: int, width: int) -> None:
        """Paint the block of a line at `top`, in a viewport of this width."""
        self._paint_band(line, top)
        shown = [self._grid.shown(i) for i in range(line.start, line.end)]
        for number, row in enumerate(self._rows):
            at = top + number * self._m.row_height
            self._paint_name(row, at)
            covered = self._paint_tokens(line, number, at)
            self._paint_characters(line, shown, covered, at)
            n_starting = sum(1 for t in row.tokens.touching(line.start, line.end) if row.tokens.starts[t] >= line.start)
            self._paint_count(n_starting, at, width)

    def _paint_band(self, line: GridLine, top: int) -> None:
        """Mark the characters of the spot in all rows."""
        if self._spot is None:
            return
        height = len(self._rows) * self._m.row_height - 3 + 4
        for left, right in line.spans(self._spot.start, self._spot.end):
            band = QRectF(self._x(left), top - 2, (right - left) * self._m.cell, height)
            if right > left:
                self._painter.fillRect(band, self._theme.color("selection"))

    def _paint_name(self, row: AlignedRow, top: int) -> None:
        painter, m = self._painter, self._m
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(series_color(self._theme, row.colour))
        painter.drawRoundedRect(QRectF(SPACE, top + (m.pill_height - SWATCH) / 2, SWATCH, SWATCH), 2, 2)
        painter.setFont(m.name_font)
        painter.setPen(self._theme.color("muted"))
        box = QRectF(SPACE + SWATCH + 6, top, m.name_width + 1, m.pill_height)
        name = painter.fontMetrics().elidedText(row.name, Qt.TextElideMode.ElideMiddle, m.name_width + 1)
        painter.drawText(box, int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft), name)

    def _paint_count(self, count: int, top: int, width: int) -> None:
        self._painter.setFont(self._m.name_font)
        self._painter.setPen(self._theme.color("hint"))
        box = QRectF(width - self._m.right, top, self._m.right - SPACE, self._m.pill_height)
        self._painter.drawText(box, int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight), str(count))

    def _paint_tokens(self, line: GridLine, number: int, top: int) -> set[int]:
        """Paint the pills of a row; return the clusters that they cover."""
        tokens = self._rows[number].tokens
        covered: set[int] = set()
        outlined: list[tuple[QRectF, bool]] = []
        for token in tokens.touching(line.start, line.end):
            start, end = float(tokens.starts[token]), float(tokens.ends[token])
            covered.update(range(int(start), math.ceil(end)))
            spans = line.spans(start, end)
            for left, right in spans:
                pill = self._pill(left, right, top)
                self._fill(pill, token, is_unknown=bool(tokens.unknown[token]))
                if self._is_marked(number, token, start, end):
                    outlined.append(
                        (pill, self._spot is not None and (self._spot.row, self._spot.token) == (number, token))
                    )
            if self._m.show_ids and spans:
                self._paint_id(int(tokens.ids[token]), spans[0], top)
        for pill, is_strong in outlined:
            self._painter.setPen(QPen(self._theme.color("accent"), 2.2 if is_strong else 1.4))
            self._painter.setBrush(Qt.BrushStyle.NoBrush)
            self._painter.drawRoundedRect(pill, _RADIUS, _RADIUS)
        return covered

    def _pill(self, left: float, right: float, top: int) -> QRectF:
        x, width = self._x(left), (right - left) * self._m.cell
        inset = 1.0 if width > 6 else 0.5
        return QRectF(x + inset, top + 0.5, max(width - 2 * inset, 1.5), self._m.pill_height - 1)

    def _fill(self, pill: QRectF, token: int, *, is_unknown: bool) -> None:
        colors = self._theme
        if is_unknown:
            self._painter.setPen(QPen(colors.color("danger"), 1, Qt.PenStyle.DashLine))
            self._painter.setBrush(colors.color("danger_soft"))
        else:
            self._painter.setPen(Qt.PenStyle.NoPen)
            self._painter.setBrush(colors.color("pill_a" if token % 2 == 0 else "pill_b"))
        radius = min(_RADIUS, pill.width() / 3)
        self._painter.drawRoundedRect(pill, radius, radius)

    def _is_marked(self, row: int, token: int, start: float, end: float) -> bool:
        spot = self._spot
        if spot is None:
            return False
        if (spot.row, spot.token) == (row, token):
            return True
        return start < spot.end and end > spot.start

    def _paint_characters(self, line: GridLine, shown: Sequence[str], covered: set[int], top: int) -> None:
        painter, m = self._painter, self._m
        painter.setFont(m.font)
        inside, outside = self._theme.color("pill_text"), self._theme.color("hint")
        base = top + 1.5 + self._metrics.ascent()
        for i, words in enumerate(shown):
            painter.setPen(inside if line.start + i in covered else outside)
            room, advance = int(line.columns[i]) * m.cell, self._metrics.horizontalAdvance(words)
            x = self._x(float(line.left[i]))
            if advance <= room:
                painter.drawText(QPointF(x + (room - advance) / 2, base), words)
            else:  # a glyph of a fallback font that is wider than its cells
                painter.save()
                painter.translate(x, base)
                painter.scale(room / advance, 1.0)
                painter.drawText(QPointF(0, 0), words)
                painter.restore()

    def _paint_id(self, id: int, span: tuple[float, float], top: int) -> None:
        words, width = str(id), (span[1] - span[0]) * self._m.cell
        if self._m.ids.horizontalAdvance(words) > width:
            return
        self._painter.setFont(self._m.id_font)
        self._painter.setPen(self._theme.color("muted"))
        below = QRectF(self._x(span[0]), top + self._m.pill_height, width, self._m.ids.height())
        self._painter.drawText(below, int(Qt.AlignmentFlag.AlignCenter), words)

    def _x(self, column: float) -> float:
        return self._m.left + column * self._m.cell
