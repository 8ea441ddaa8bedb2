"""A figure of a word whose pieces are merged, with a row for each merge."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QFontMetricsF, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from terrarium.app.kit.theme import SPACE, ThemeProvider

_PAD, _GAP, _RADIUS = 9.0, 4.0, 6.0
_ENLARGED = 1.2


class MergesFigure(QWidget):
    """The rows of the merges so far; the piece created by the last merge is filled."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._states: Sequence[Sequence[str]] = ()
        self._n_rows = 1
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAccessibleName("No word yet")
        theme.theme_changed.connect(self.update)

    def show_states(self, word: str, states: Sequence[Sequence[str]], n_rows: int) -> None:
        """Show a word's pieces: its characters, then after each merge, with space for `n_rows` rows; "" for no word."""
        self._states, self._n_rows = states, n_rows
        self.setAccessibleName(f"{word}: " + "; ".join(" ".join(state) for state in states) if word else "")
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(320, 240)

    def minimumSizeHint(self) -> QSize:
        return QSize(200, 140)

    def paintEvent(self, event: QPaintEvent) -> None:
        if not self._states:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        font = self._theme.mono_font()
        font.setPointSizeF(_ENLARGED * font.pointSizeF())
        widest = self._width(self._states[0], QFontMetricsF(font))
        if widest > self.width():
            font.setPointSizeF(max(font.pointSizeF() * self.width() / widest, 6.0))
        painter.setFont(font)
        height = QFontMetricsF(font).height() + 6
        step = min((self.height() - height) / max(self._n_rows - 1, 1), 1.7 * height)
        before: list[tuple[int, int]] = []
        for row, state in enumerate(self._states):
            spans = _spans(state)
            is_last = row == len(self._states) - 1
            new = [span for span in spans if row and span not in before]
            self._paint_row(painter, state, [span in new for span in spans], row * step, height, is_last)
            before = spans

    def _paint_row(
        self, painter: QPainter, state: Sequence[str], is_new: Sequence[bool], top: float, height: float, is_last: bool
    ) -> None:
        colors, metrics, left = self._theme.theme, QFontMetricsF(painter.font()), 1.0
        for piece, new in zip(state, is_new, strict=True):
            box = QRectF(left, top + 1, metrics.horizontalAdvance(piece) + 2 * _PAD, height - 2)
            painter.setPen(self._theme.pen("accent" if new else "border_strong" if is_last else "border"))
            painter.setBrush(colors.color("accent_soft" if new else "surface"))
            painter.drawRoundedRect(box, _RADIUS, _RADIUS)
            painter.setPen(colors.color("accent" if new else "text" if is_last else "muted"))
            painter.drawText(box, Qt.AlignmentFlag.AlignCenter, piece)
            left = box.right() + _GAP

    def _width(self, state: Sequence[str], metrics: QFontMetricsF) -> float:
        return sum(metrics.horizontalAdvance(piece) + 2 * _PAD + _GAP for piece in state) + SPACE


def _spans(state: Sequence[str]) -> list[tuple[int, int]]:
    """Return the range of characters of each piece."""
    spans, start = [], 0
    for piece in state:
        spans.append((start, start + len(piece)))
        start += len(piece)
    return spans
