"""Positive and negative amounts as bars to the right and left of zero, with their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFontMetrics, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from app.glass.names import digits_for
from app.kit.figures.heat_map import colour_table
from app.kit.painted_rows import PaintedRows
from app.kit.theme import SPACE, ThemeProvider
from models.number_words import format_signed

_PERCENT = "\N{NO-BREAK SPACE}%"
_BAR = 8  # pixels


@dataclass(frozen=True)
class Amount:
    """One row: a token's name, its amount and its tooltip."""

    name: str
    value: float
    tip: str = ""


class SignedBars(PaintedRows):
    """Rows in the given order; the longest bar is the largest amount of all."""

    def __init__(self, name: str, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(name, theme, parent)
        self._amounts: Sequence[Amount] = ()
        self._digits, self._unit = 3, ""

    def show_amounts(self, amounts: Sequence[Amount], *, are_percent: bool = False) -> None:
        """Show other amounts; are_percent: percentage points, written as such."""
        self._amounts, self._unit = amounts, _PERCENT if are_percent else ""
        digits = digits_for(self._reach)
        self._digits = digits if not are_percent else 0 if self._reach >= 10 else max(digits - 2, 1)
        self.setAccessibleDescription(", ".join(f"{a.name} {self.written(a.value)}" for a in amounts))
        self._restyle()

    @property
    def amounts(self) -> Sequence[Amount]:
        """What is shown."""
        return self._amounts

    def written(self, value: float) -> str:
        """An amount as it stands beside its bar."""
        return format_signed(value, self._digits) + self._unit

    @property
    def _reach(self) -> float:
        """The largest amount."""
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
        longest = max((metrics.horizontalAdvance(amount.name) for amount in self._amounts), default=0)
        name_width = min(longest + 2 * SPACE, int(0.4 * self.width()))
        number = metrics.horizontalAdvance("+00." + self._digits * "0" + self._unit)
        track = QRectF(name_width, 0, self.width() - name_width - number - SPACE, self.height())
        reach = self._reach
        painter.setFont(font)
        for i, amount in enumerate(self._amounts):
            line = QRectF(0, i * height, self.width(), height)
            painter.setPen(colors.color("text"))
            name = metrics.elidedText(amount.name, Qt.TextElideMode.ElideRight, name_width - SPACE)
            painter.drawText(line, Qt.AlignmentFlag.AlignVCenter, name)
            right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
            painter.drawText(line, right, self.written(amount.value))
            long = amount.value / reach * track.width() / 2
            bar = QRectF(track.center().x(), line.center().y() - _BAR / 2, long, _BAR).normalized()
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(ends[amount.value > 0])
            painter.drawRoundedRect(bar, 2, 2)
        painter.setPen(QPen(colors.color("border_strong"), 1))
        painter.drawLine(QPointF(track.center().x(), 0), QPointF(track.center().x(), self.height()))
