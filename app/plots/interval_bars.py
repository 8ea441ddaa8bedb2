"""Named values as horizontal bars with error bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetrics, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from terrarium.app.kit.painted_rows import PaintedRows
from terrarium.app.kit.theme import SPACE, ThemeProvider

_NAMES = 0.5
"""The maximum share of the width for the names."""
_BAR, _CAP = 9, 3  # pixels: a bar's height, and half the height of an error bar's caps
_RADIUS = 3


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A row. share: the length of its bar (0 to 1), None for no bar. text: its value. interval: the ends of its error
    bar, as shares.

    tone: a colour role of the theme. category: the index of a category colour, used instead of `tone`. tip: more text
    for the tooltip, below the name and the value.
    """

    name: str
    share: float | None
    text: str
    interval: tuple[float, float] | None = None
    tone: str = "accent"
    category: int | None = None
    tip: str = ""


class IntervalBars(PaintedRows):
    """A list of bars, also described as text for screen readers."""

    def __init__(self, name: str, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(name, theme, parent)
        self.bars: tuple[Bar, ...] = ()
        self.aligned: tuple[IntervalBars, ...] = (self,)
        """The lists whose bars begin and end at the same x as these."""

    def align(self, *others: IntervalBars) -> None:
        """Align the bars' start and end with those of `others`, which are shown above or below."""
        for each in (aligned := (self, *others)):
            each.aligned = aligned

    def show_bars(self, bars: Sequence[Bar]) -> None:
        """Show other bars."""
        self.bars = tuple(bars)
        self.setAccessibleDescription(", ".join(f"{bar.name} {bar.text}" for bar in bars))
        self.updateGeometry()
        for each in self.aligned:
            each.update()

    @property
    def _n_rows(self) -> int:
        return len(self.bars)

    @property
    def _row_height(self) -> float:
        return QFontMetrics(self._theme.font()).height() + SPACE

    def minimumSizeHint(self) -> QSize:
        return QSize(220, self.sizeHint().height())

    def tip(self, row: int) -> str:
        if not 0 <= row < len(self.bars):
            return ""
        bar = self.bars[row]
        return "\n".join(filter(None, (f"{bar.name}: {bar.text}", bar.tip)))

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colors, font = self._theme.theme, self._theme.font()
        metrics = QFontMetrics(font)
        painter.setFont(font)
        all_bars = [bar for each in self.aligned if not each.isHidden() for bar in each.bars]
        names = max((metrics.horizontalAdvance(bar.name) for bar in all_bars), default=0) + 2 * SPACE
        names = min(names, int(_NAMES * self.width()))
        values = max((metrics.horizontalAdvance(bar.text) for bar in all_bars), default=0) + SPACE
        left, width = float(names), float(max(self.width() - names - values - SPACE, 1))
        for i, bar in enumerate(self.bars):
            line = QRectF(0, i * self._row_height, self.width(), self._row_height)
            middle = line.center().y()
            painter.setPen(colors.color("text"))
            words = metrics.elidedText(bar.name, Qt.TextElideMode.ElideRight, names - SPACE)
            painter.drawText(line, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, words)
            painter.drawText(line, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, bar.text)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(colors.color("sunken"))
            painter.drawRoundedRect(QRectF(left, middle - _BAR / 2, width, _BAR), _RADIUS, _RADIUS)
            if bar.share is None:
                continue
            painter.setBrush(
                colors.color(bar.tone) if bar.category is None else QColor(colors.categories[bar.category])
            )
            length = width * min(max(bar.share, 0.0), 1.0)
            if length:  # no bar for 0
                painter.drawRoundedRect(QRectF(left, middle - _BAR / 2, max(length, 2.0), _BAR), _RADIUS, _RADIUS)
            if bar.interval is not None:
                first, last = (left + width * min(max(end, 0.0), 1.0) for end in bar.interval)
                painter.setPen(self._theme.pen("text", width=1.5))
                painter.drawLine(QPointF(first, middle), QPointF(last, middle))
                for end in (first, last):
                    painter.drawLine(QPointF(end, middle - _CAP), QPointF(end, middle + _CAP))
