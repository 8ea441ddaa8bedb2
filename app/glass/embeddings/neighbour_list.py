"""The nearest neighbours of a token with their cosines; a click selects one."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QRectF, Qt, Signal
from PySide6.QtGui import QFontMetrics, QKeyEvent, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from terrarium.app.kit.painted_rows import PaintedRows
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.models.number_words import with_minus

_BAR = 6  # pixels


class NeighbourList(PaintedRows):
    """A list with a row per token: its name, a bar from 0 to 1 and the cosine. Arrow keys move, Enter selects.

    Signals:
        chosen(id): the user selected this token.
    """

    chosen = Signal(int)

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__("Nearest tokens", theme, parent)
        self._rows: Sequence[tuple[int, str, float]] = ()
        self._at = -1
        self.setMouseTracking(True)
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    def show_rows(self, rows: Sequence[tuple[int, str, float]]) -> None:
        """Show rows of (id, name, cosine)."""
        self._rows, self._at = rows, -1
        near = ", ".join(f"{name} {cosine:.2f}" for _, name, cosine in rows)
        self.setAccessibleDescription(f"{near}. Up and down move, Enter chooses.")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus if rows else Qt.FocusPolicy.NoFocus)  # empty, it has no height
        self._restyle()

    @property
    def rows(self) -> Sequence[tuple[int, str, float]]:
        """The displayed rows: (id, name, cosine)."""
        return self._rows

    @property
    def _n_rows(self) -> int:
        return len(self._rows)

    def tip(self, row: int) -> str:
        if not 0 <= row < len(self._rows):
            return ""
        id, name, cosine = self._rows[row]
        return f"“{name}”, token {id:,}: cosine {cosine:.4f}"

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colors, font = self._theme.theme, self._theme.mono_font(0.9)
        metrics, height = QFontMetrics(font), self._row_height
        painter.setFont(font)
        name_width = min(int(0.4 * self.width()), 170)
        number = metrics.horizontalAdvance("−0.000") + SPACE
        for i, (_, name, cosine) in enumerate(self._rows):
            line = QRectF(0, i * height, self.width(), height)
            painter.setPen(Qt.PenStyle.NoPen)
            if i == self._at:
                painter.setBrush(colors.color("sunken"))
                painter.drawRoundedRect(line, 4, 4)
            painter.setPen(colors.color("text"))
            shown = metrics.elidedText(name, Qt.TextElideMode.ElideRight, name_width - SPACE)
            painter.drawText(line.adjusted(4, 0, 0, 0), Qt.AlignmentFlag.AlignVCenter, shown)
            right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
            painter.drawText(line.adjusted(0, 0, -4, 0), right, with_minus(f"{cosine:.3f}"))
            track = self.width() - name_width - number - SPACE
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(colors.color("accent"))
            bar = QRectF(name_width, line.center().y() - _BAR / 2, max(track * max(cosine, 0.0), 1.5), _BAR)
            painter.drawRoundedRect(bar, 2, 2)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        self._point_at(int(event.position().y() / self._row_height))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self._go(int(event.position().y() / self._row_height))

    def leaveEvent(self, event: QEvent) -> None:
        self._point_at(-1)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Up, Qt.Key.Key_Down) and self._rows:
            by = 1 if event.key() == Qt.Key.Key_Down else -1
            self._point_at(min(max(self._at + by, 0), len(self._rows) - 1))
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._go(self._at)
        else:
            super().keyPressEvent(event)

    def _point_at(self, row: int) -> None:
        if row != self._at:
            self._at = row
            self.update()

    def _go(self, row: int) -> None:
        if 0 <= row < len(self._rows):
            self.chosen.emit(self._rows[row][0])
