"""A stacked bar of coloured slices, with a legend of names and numbers below."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QEvent, QPoint, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetrics, QHelpEvent, QPainter, QPainterPath, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from terrarium.app.builder.costs.design_costs import Slice
from terrarium.app.kit.basics import plain_tip
from terrarium.app.kit.chart_export import Columns
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.plots.chart_base import ChartBase
from terrarium.models.number_words import format_percent

_BAR, _BELOW, _SWATCH, _LEADING = 14, 8, 9, 4  # pixels


class StackedBar(ChartBase):
    """A bar of slices in proportion to their values, and below it a row per slice: colour, name and number."""

    def __init__(self, theme: ThemeProvider, words: Callable[[float], str], parent: QWidget | None = None) -> None:
        super().__init__(theme, parent)
        self._words = words
        self._bars: Sequence[Slice] = ()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        theme.theme_changed.connect(self._on_theme_changed)

    def set_bars(self, bars: Sequence[Slice]) -> None:
        """Show `bars`, in this order."""
        is_resized = len(bars) != len(self._bars)
        self._bars = bars
        if is_resized:
            self.updateGeometry()
        self.setAccessibleDescription(self.summary())
        self.update()

    @property
    def bars(self) -> Sequence[Slice]:
        """The slices shown."""
        return self._bars

    def columns(self) -> Columns:
        return {"name": [bar.name for bar in self._bars], "value": [bar.value for bar in self._bars]}

    def summary(self) -> str:
        return ", ".join(f"{bar.name} {self._words(bar.value)}" for bar in self._bars)

    def sizeHint(self) -> QSize:
        return QSize(240, self._height)

    def minimumSizeHint(self) -> QSize:
        # Independent of the numbers, so that the width of the panel stays constant.
        return QSize(200, self._height)

    @property
    def _row_height(self) -> int:
        return QFontMetrics(self._theme.font(0.95)).height() + _LEADING

    @property
    def _height(self) -> int:
        return _BAR + _BELOW + len(self._bars) * self._row_height

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._paint_bar(painter)
        colors, names, numbers = self._theme.theme, self._theme.font(0.95), self._theme.mono_font(0.92)
        name_metrics, number_metrics = QFontMetrics(names), QFontMetrics(numbers)
        for i, bar in enumerate(self._bars):
            line = QRectF(0, _BAR + _BELOW + i * self._row_height, self.width(), self._row_height)
            indent = 0.0
            if not bar.is_sum:
                swatch = QRectF(2 * SPACE if bar.is_part else 0, line.center().y() - _SWATCH / 2, _SWATCH, _SWATCH)
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(self._color(bar))
                painter.drawRoundedRect(swatch, 2, 2)
                indent = swatch.right() + 7
            text = self._words(bar.value)
            painter.setFont(numbers)
            painter.setPen(colors.color("text" if bar.is_sum else "muted"))
            painter.drawText(line, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, text)
            room = int(line.width() - indent - number_metrics.horizontalAdvance(text) - SPACE)
            painter.setFont(names)
            painter.setPen(colors.color("text"))
            painter.drawText(
                line.adjusted(indent, 0, 0, 0),
                Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter,
                name_metrics.elidedText(bar.name, Qt.TextElideMode.ElideRight, room),
            )
        painter.end()

    def _paint_bar(self, painter: QPainter) -> None:
        """Paint the slices across exactly the width of the widget."""
        track = QRectF(0, 0, self.width(), _BAR)
        clip = QPainterPath()
        clip.addRoundedRect(track, 4, 4)
        painter.save()
        painter.setClipPath(clip)
        painter.fillRect(track, self._theme.theme.color("sunken"))
        for bar, (left, right) in self._spans():
            # A pixel between neighbours, unless the slice is too narrow.
            gap = 1.0 if right - left > 3 else 0.0
            painter.fillRect(QRectF(left, 0, right - left - gap, _BAR), self._color(bar))
        painter.restore()

    def _spans(self) -> list[tuple[Slice, tuple[float, float]]]:
        shown = [bar for bar in self._bars if not bar.is_sum]
        total = sum(bar.value for bar in shown)
        spans, at = [], 0.0
        for bar in shown:
            right = at + self.width() * bar.value / total
            spans.append((bar, (at, right)))
            at = right
        return spans

    def _color(self, bar: Slice) -> QColor:
        theme = self._theme.theme
        color = QColor(theme.categories[bar.hue]) if isinstance(bar.hue, int) else theme.color(bar.hue)
        color.setAlphaF(bar.strength)
        return color

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            bar = self._at(event.pos())
            if bar is None:
                QToolTip.hideText()
            else:
                QToolTip.showText(event.globalPos(), plain_tip(self.tip(bar)), self)
            return True
        return super().event(event)

    def tip(self, bar: Slice) -> str:
        """Return the tooltip of a slice: its percentage, its exact number, and its meaning."""
        total = sum(each.value for each in self._bars if not each.is_sum)
        share = format_percent(bar.value / total, 1)
        numbers = f"{bar.name}: {self._words(bar.value)}, {share} of all ({bar.value:,})"
        return f"{numbers}\n{bar.meaning[0].upper()}{bar.meaning[1:]}" if bar.meaning else numbers

    def _at(self, point: QPoint) -> Slice | None:
        if point.y() < _BAR:
            return next((bar for bar, (left, right) in self._spans() if left <= point.x() < right), None)
        row = (point.y() - _BAR - _BELOW) // self._row_height
        return self._bars[row] if 0 <= row < len(self._bars) else None

    def _on_theme_changed(self) -> None:
        self.updateGeometry()
        self.update()
