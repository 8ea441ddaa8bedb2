"""The stages of a longer process, side by side: done, current, to come."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from terrarium.app.kit.theme import SPACE, ThemeProvider

_DOT = 22


class Stepper(QWidget):
    """Named stages; `show_stage` sets the current one."""

    def __init__(self, theme: ThemeProvider, stages: Sequence[str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._stages = tuple(stages)
        self._current = -1
        self._failed = False
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        theme.theme_changed.connect(self.update)
        self.show_stage(0)

    @property
    def current(self) -> int:
        """The index of the current stage; the number of stages when all are done."""
        return self._current

    def show_stage(self, current: int, *, failed: bool = False) -> None:
        """Mark the stages before `current` as done."""
        if (current, failed) == (self._current, self._failed):
            return
        self._current, self._failed = current, failed
        words = self._stages[current] if current < len(self._stages) else "done"
        self.setAccessibleName(f"Stage {min(current + 1, len(self._stages))} of {len(self._stages)}: {words}")
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(110 * len(self._stages), _DOT + SPACE + self.fontMetrics().height() + 4)

    def paintEvent(self, event: QPaintEvent) -> None:
        colors = self._theme.theme
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        cell = self.width() / len(self._stages)
        middle = _DOT / 2 + 1
        for i in range(len(self._stages) - 1):
            x = cell * (i + 0.5)
            painter.setPen(self._theme.pen("accent" if i < self._current else "border_strong", width=2))
            painter.drawLine(QPointF(x + _DOT / 2 + 6, middle), QPointF(x + cell - _DOT / 2 - 6, middle))
        for i, words in enumerate(self._stages):
            centre = QPointF(cell * (i + 0.5), middle)
            done, now = i < self._current, i == self._current
            tone = "danger" if now and self._failed else "accent"
            painter.setPen(self._theme.pen(tone if done or now else "border_strong", width=2))
            painter.setBrush(colors.color(tone) if done else colors.color("surface"))
            painter.drawEllipse(centre, _DOT / 2 - 1, _DOT / 2 - 1)
            if done:
                painter.setPen(self._theme.pen("on_accent", width=2))
                for a, b in (((-4.5, 0.5), (-1.5, 3.5)), ((-1.5, 3.5), (4.5, -3.5))):
                    painter.drawLine(centre + QPointF(*a), centre + QPointF(*b))
            elif now:
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(colors.color(tone))
                painter.drawEllipse(centre, 5, 5)
            painter.setFont(self._theme.font(bold=now))
            painter.setPen(colors.color("text" if done or now else "muted"))
            below = QRectF(cell * i, _DOT + SPACE / 2, cell, self.height() - _DOT - SPACE / 2)
            painter.drawText(below, Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop, words)
