"""The top tokens before and after an intervention, as pairs of bars with their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QFontMetrics, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from terrarium.app.glass.names import quoted
from terrarium.app.kit.painted_rows import PaintedRows
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.models.number_words import format_prob

_BAR = 5  # pixels


@dataclass(frozen=True)
class Pair:
    """A token, or a label, with its probability before and after an intervention."""

    name: str
    before: float
    after: float
    is_target: bool = False


class BeforeAfter(PaintedRows):
    """A row per token: a grey bar (before) above a coloured one (after), and both numbers. The target token is bold."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__("Before and after", theme, parent)
        self._pairs: Sequence[Pair] = ()

    def show_pairs(self, pairs: Sequence[Pair]) -> None:
        """Show other pairs."""
        self._pairs = pairs
        self.setAccessibleDescription(
            ", ".join(f"{p.name} {format_prob(p.before)} then {format_prob(p.after)}" for p in pairs)
        )
        self._restyle()

    @property
    def pairs(self) -> Sequence[Pair]:
        """The displayed pairs."""
        return self._pairs

    @property
    def _n_rows(self) -> int:
        return len(self._pairs)

    def tip(self, row: int) -> str:
        if not 0 <= row < len(self._pairs):
            return ""
        pair = self._pairs[row]
        return f"{quoted(pair.name)}: {format_prob(pair.before)} before, {format_prob(pair.after)} after"

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colors, font = self._theme.theme, self._theme.mono_font(0.9)
        metrics, height = QFontMetrics(font), self._row_height
        name_width = min(int(0.3 * self.width()), 130)
        numbers = [format_prob(p) for pair in self._pairs for p in (pair.before, pair.after)]
        number = max((metrics.horizontalAdvance(words) for words in numbers), default=0)
        arrow = metrics.horizontalAdvance(" → ")
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        for i, pair in enumerate(self._pairs):
            line = QRectF(0, i * height, self.width(), height)
            font.setBold(pair.is_target)
            painter.setFont(font)
            painter.setPen(colors.color("text"))
            name = metrics.elidedText(pair.name, Qt.TextElideMode.ElideRight, name_width - SPACE)
            painter.drawText(line, Qt.AlignmentFlag.AlignVCenter, name)
            font.setBold(False)
            painter.setFont(font)
            painter.drawText(line, right, format_prob(pair.after))
            painter.setPen(colors.color("muted"))
            painter.drawText(line.adjusted(0, 0, -number, 0), right, " → ")
            painter.drawText(line.adjusted(0, 0, -number - arrow, 0), right, format_prob(pair.before))
            track = QRectF(name_width, line.top(), self.width() - name_width - 2 * number - arrow - SPACE, height)
            self._draw_bar(painter, track, line.center().y() - _BAR - 0.5, pair.before, "faint")
            self._draw_bar(painter, track, line.center().y() + 0.5, pair.after, "accent")

    def _draw_bar(self, painter: QPainter, track: QRectF, top: float, p: float, role: str) -> None:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self._theme.theme.color(role))
        painter.drawRoundedRect(QRectF(track.left(), top, max(track.width() * p, 1.5), _BAR), 2, 2)
