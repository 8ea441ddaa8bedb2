"""Positive and negative amounts as bars to the right and left of zero, with their numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFontMetrics, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from terrarium.app.glass.names import digits_for
from terrarium.app.kit.painted_rows import PaintedRows
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.plots.heat_map import colour_table
from terrarium.models.number_words import format_exponent, format_signed

_BAR = 8  # pixels
_SMALLEST = 1e-4
"""Smaller percentage points are written with an exponent."""


@dataclass(frozen=True)
class Amount:
    """A row: the name of a token, its amount and its tooltip."""

    name: str
    value: float
    tip: str = ""


class SignedBars(PaintedRows):
    """A bar per amount, in the given order, scaled to the largest absolute amount."""

    def __init__(self, name: str, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(name, theme, parent)
        self._amounts: Sequence[Amount] = ()
        self._digits: int | None = 3

    def show_amounts(self, amounts: Sequence[Amount], *, are_points: bool = False) -> None:
        """Show other amounts. are_points: whether they are percentage points, shown with two significant digits."""
        self._amounts = amounts
        self._digits = None if are_points else digits_for(self._reach)
        unit = "Percentage points: " if are_points else ""
        self.setAccessibleDescription(unit + ", ".join(f"{a.name} {self.written(a.value)}" for a in amounts))
        self._restyle()

    @property
    def amounts(self) -> Sequence[Amount]:
        """The displayed amounts."""
        return self._amounts

    def written(self, value: float) -> str:
        """Format an amount as it is shown beside its bar."""
        if self._digits is not None:
            return format_signed(value, self._digits)
        size = abs(value)
        if 0.0 < size < _SMALLEST:
            return f"{'−' if value < 0 else '+'}{format_exponent(size)}"
        return format_signed(value, 0 if size >= 9.95 or not size else 1 - math.floor(math.log10(float(f"{size:.1e}"))))

    @property
    def _reach(self) -> float:
        """The largest absolute amount; 1.0 if all are 0."""
        return max((abs(amount.value) for amount in self._amounts), default=1.0) or 1.0

    @property
    def _n_rows(self) -> int:
        return len(self._amounts)

    def tip(self, row: int) -> str:
        return self._amounts[row].tip if 0 <= row < len(self._amounts) else ""

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colors, font = self._theme.theme, self._theme.mono_font(0.9)
        metrics, height = QFontMetrics(font), self._row_height
        table = colour_table(self._theme, "diverging")
        ends = QColor.fromRgb(int(table[0])), QColor.fromRgb(int(table[-1]))
        numbers = [self.written(amount.value) for amount in self._amounts]
        longest = max((metrics.horizontalAdvance(amount.name) for amount in self._amounts), default=0)
        left = min(longest + 2 * SPACE, int(0.4 * self.width()))
        right = self.width() - SPACE - max(map(metrics.horizontalAdvance, ("+00.000", *numbers)))
        zero, per_amount = (left + right) / 2, (right - left) / 2 / self._reach
        painter.setFont(font)
        for i, (amount, number) in enumerate(zip(self._amounts, numbers, strict=True)):
            line = QRectF(0, i * height, self.width(), height)
            painter.setPen(colors.color("text"))
            name = metrics.elidedText(amount.name, Qt.TextElideMode.ElideRight, left - SPACE)
            painter.drawText(line, Qt.AlignmentFlag.AlignVCenter, name)
            painter.drawText(line, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, number)
            long = amount.value * per_amount
            bar = QRectF(zero, line.center().y() - _BAR / 2, long, _BAR).normalized()
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(ends[amount.value > 0])
            painter.drawRoundedRect(bar, 2, 2)
        painter.setPen(QPen(colors.color("border_strong"), 1))
        painter.drawLine(QPointF(zero, 0), QPointF(zero, self.height()))
