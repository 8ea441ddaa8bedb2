"""Named values as horizontal bars with their exact numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QFont, QFontMetrics, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from terrarium.app.kit.painted_rows import RowTips
from terrarium.app.kit.theme import SPACE, ThemeProvider

_BAR, _GAP = 5, 9  # pixels: height of a bar, space below it


@dataclass(frozen=True)
class Bar:
    """One value: its name, the value that determines the bar's length, and the formatted number."""

    name: str
    value: float
    text: str
    tip: str = ""


class BarList(RowTips):
    """Rows of a name and a number above a bar; lengths are relative to the largest value. `mono`: monospaced names."""

    def __init__(self, theme: ThemeProvider, *, mono: bool = False, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme, self._mono = theme, mono
        self._bars: Sequence[Bar] = ()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        theme.theme_changed.connect(self._on_theme_changed)

    def set_bars(self, bars: Sequence[Bar]) -> None:
        """Show `bars` in this order."""
        self._bars = bars
        self.updateGeometry()
        self.setAccessibleDescription(", ".join(f"{bar.name} {bar.text}" for bar in bars))
        self.update()

    @property
    def bars(self) -> Sequence[Bar]:
        """The bars on screen."""
        return self._bars

    def sizeHint(self) -> QSize:
        return QSize(220, len(self._bars) * self._row_height)

    def minimumSizeHint(self) -> QSize:
        names, numbers = QFontMetrics(self._name_font), QFontMetrics(self._theme.mono_font(0.92))
        widths = (names.horizontalAdvance(bar.name) + numbers.horizontalAdvance(bar.text) for bar in self._bars)
        return QSize(max(widths, default=100) + 2 * SPACE, len(self._bars) * self._row_height)

    @property
    def _name_font(self) -> QFont:
        return self._theme.mono_font(0.95) if self._mono else self._theme.font(0.95)

    @property
    def _row_height(self) -> int:
        return QFontMetrics(self._name_font).height() + 3 + _BAR + _GAP

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colors, names, numbers = self._theme.theme, self._name_font, self._theme.mono_font(0.92)
        text_height = QFontMetrics(names).height()
        largest = max((bar.value for bar in self._bars), default=0.0)
        for i, bar in enumerate(self._bars):
            top = i * self._row_height
            line = QRectF(0, top, self.width(), text_height)
            painter.setFont(names)
            painter.setPen(colors.color("text"))
            painter.drawText(line, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, bar.name)
            painter.setFont(numbers)
            painter.setPen(colors.color("muted"))
            painter.drawText(line, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, bar.text)
            painter.setPen(Qt.PenStyle.NoPen)
            track = QRectF(0, top + text_height + 3, self.width(), _BAR)
            painter.setBrush(colors.color("sunken"))
            painter.drawRoundedRect(track, _BAR / 2, _BAR / 2)
            if bar.value > 0:
                track.setWidth(max(track.width() * bar.value / largest, 2.0))
                painter.setBrush(colors.color("accent"))
                painter.drawRoundedRect(track, min(_BAR / 2, track.width() / 2), _BAR / 2)
        painter.end()

    def tip(self, row: int) -> str:
        return self._bars[row].tip if 0 <= row < len(self._bars) else ""

    def _on_theme_changed(self) -> None:
        self.updateGeometry()
        self.update()
