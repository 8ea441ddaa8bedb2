"""Chips for chosen tokens or parts of a model: small removable labels in rows that wrap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal, Slot
from PySide6.QtGui import (
    QColor,
    QFontMetrics,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPolygonF,
    QResizeEvent,
)
from PySide6.QtWidgets import QSizePolicy, QWidget

from terrarium.app.kit.basics import plain_tip
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.kit.tokens.pill_layout import PillLayout

_DOT, _CROSS, _PAD, _GAP = 8, 12, 7, 6  # pixels
_LONGEST = 220
_CORNERS = (0, 4, 3, 4)
"""Of each mark; 0 for a disc."""
_TURNS = (0.0, 0.125, 0.75, 0.0)
"""Where its first corner is, in turns from the right."""


@dataclass(frozen=True)
class Chip:
    """A label: its text, its tooltip, and the colour and the number of a mark before it, None for no mark."""

    words: str
    tip: str = ""
    color: QColor | None = None
    mark: int = 0


class TokenChips(QWidget):
    """Chips in as many rows as needed. A click removes a chip; on the keyboard: Tab, the arrow keys and Delete.

    Signals:
        removed(i): the user requested the removal of chip `i`.
    """

    removed = Signal(int)

    def __init__(self, name: str, theme: ThemeProvider, *, mono: bool = False, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme, self._mono = theme, mono
        self._chips: Sequence[Chip] = ()
        self._at = -1
        self.setAccessibleName(f"{name}. Left and right choose one, Delete removes it.")
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setMouseTracking(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        theme.theme_changed.connect(self._restyle)

    def show_chips(self, chips: Sequence[Chip]) -> None:
        """Show other chips."""
        self._chips, self._at = chips, -1
        self.setAccessibleDescription(", ".join(chip.words for chip in chips))
        self._restyle()

    @property
    def chips(self) -> Sequence[Chip]:
        """The displayed chips."""
        return self._chips

    @Slot()
    def _restyle(self) -> None:
        self.setFixedHeight(max(self._rows, 1) * self._row_height if self._chips else 0)
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(240, self.height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._restyle()

    # -- Layout --------------------------------------------------------------------------------------------------------

    @property
    def _metrics(self) -> QFontMetrics:
        return QFontMetrics(self._theme.mono_font(0.9) if self._mono else self._theme.font(0.9))

    @property
    def _row_height(self) -> int:
        return self._metrics.height() + 6 + _GAP

    @property
    def _layout(self) -> PillLayout:
        metrics = self._metrics
        widths = [
            min(metrics.horizontalAdvance(chip.words), _LONGEST)
            + 2 * _PAD
            + _CROSS
            + (_DOT + _PAD if chip.color is not None else 0)
            + _GAP
            for chip in self._chips
        ]
        return PillLayout(np.array(widths, np.int64), np.zeros(len(widths), bool), max(self.width(), 60) + _GAP)

    @property
    def _rows(self) -> int:
        return self._layout.n_rows if self._chips else 0

    def rect_of(self, i: int) -> QRectF:
        """Return the rectangle of chip `i`."""
        layout = self._layout
        top = layout.row_of(i) * self._row_height
        return QRectF(layout.x_of(i), top, layout.width_of(i) - _GAP, self._row_height - _GAP)

    def _chip_at(self, point: QPointF) -> int:
        return next((i for i in range(len(self._chips)) if self.rect_of(i).contains(point)), -1)

    # -- Painting and input --------------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colors = self._theme.theme
        painter.setFont(self._theme.mono_font(0.9) if self._mono else self._theme.font(0.9))
        for i, chip in enumerate(self._chips):
            box = self.rect_of(i).adjusted(0.5, 0.5, -0.5, -0.5)
            painter.setPen(QPen(colors.color("accent" if i == self._at else "border_strong"), 1))
            painter.setBrush(colors.color("raised"))
            painter.drawRoundedRect(box, 5, 5)
            left = box.left() + _PAD
            if chip.color is not None:
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(chip.color)
                draw_mark(painter, QPointF(left + _DOT / 2, box.center().y()), _DOT / 2, chip.mark)
                left += _DOT + _PAD
            words = QRectF(left, box.top(), box.right() - _CROSS - _PAD / 2 - left, box.height())
            painter.setPen(colors.color("text"))
            shown = self._metrics.elidedText(chip.words, Qt.TextElideMode.ElideRight, int(words.width()) + 1)
            painter.drawText(words, Qt.AlignmentFlag.AlignVCenter, shown)
            painter.setPen(colors.color("text" if i == self._at else "muted"))
            cross = QRectF(box.right() - _CROSS - _PAD / 2, box.top(), _CROSS, box.height())
            painter.drawText(cross, Qt.AlignmentFlag.AlignCenter, "×")

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        self._point_at(self._chip_at(event.position()))

    def leaveEvent(self, event: QEvent) -> None:
        self._point_at(-1)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        i = self._chip_at(event.position())
        if i >= 0 and event.button() == Qt.MouseButton.LeftButton:
            self.removed.emit(i)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key, n = event.key(), len(self._chips)
        if key in (Qt.Key.Key_Left, Qt.Key.Key_Right) and n:
            self._point_at((self._at + (1 if key == Qt.Key.Key_Right else -1)) % n)
        elif key in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace) and self._at >= 0:
            self.removed.emit(self._at)
        else:
            super().keyPressEvent(event)

    def _point_at(self, i: int) -> None:
        if i != self._at:
            self._at = i
            shown = self._chips[i : i + 1] if i >= 0 else self._chips
            self.setAccessibleDescription(", ".join(chip.words for chip in shown))
            self.setToolTip(plain_tip(self._chips[i].tip) if i >= 0 else "")
            self.update()


def draw_mark(painter: QPainter, centre: QPointF, radius: float, number: int) -> None:
    """Draw the mark with index `number` in the painter's pen and brush; they repeat after four: disc, square, triangle,
    diamond.

    Marks tell tokens and their lines apart without their colours.
    """
    kind = number % len(_CORNERS)
    if not _CORNERS[kind]:
        painter.drawEllipse(centre, radius, radius)
        return
    angles = [2 * math.pi * (_TURNS[kind] + corner / _CORNERS[kind]) for corner in range(_CORNERS[kind])]
    far = 1.3 * radius  # about the area of the disc
    painter.drawPolygon(QPolygonF([centre + QPointF(far * math.cos(a), far * math.sin(a)) for a in angles]))
