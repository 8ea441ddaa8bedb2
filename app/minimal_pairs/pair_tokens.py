"""The tokens of two sentences, one above the other, with the differing ones marked."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from PySide6.QtCore import QEvent, QRectF, QSize, Qt, Signal, Slot
from PySide6.QtGui import QFontMetrics, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from terrarium.app.kit.theme import SPACE, ThemeProvider

_GAP, _BETWEEN = 3, 10  # pixels between pills, between lines of pairs
_KEYS = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}


class PairTokens(QWidget):
    """Pills in columns; a click or the arrow keys choose a column.

    Signals:
        picked(column): the user chose another token.
    """

    picked = Signal(int)

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._rows: tuple[Sequence[str], Sequence[str]] = ((), ())
        self._marked: Collection[int] = ()
        self._chosen = -1
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setToolTip("Click a token, or use the arrow keys, to see where it attends")
        self.setAccessibleName("Tokens of both sentences")
        theme.theme_changed.connect(self._restyle)

    def show_pair(self, first: Sequence[str], second: Sequence[str], marked: Collection[int], chosen: int) -> None:
        """Show tokens by column; `marked` ones differ, `chosen` is the column in focus (−1: none)."""
        self._rows, self._marked, self._chosen = (first, second), marked, chosen
        described = first[chosen] if 0 <= chosen < len(first) else "none"
        self.setAccessibleDescription(f"{len(first)} columns, {len(marked)} of them differ. Chosen: {described}.")
        self.updateGeometry()
        self.update()

    @property
    def chosen(self) -> int:
        """The chosen column."""
        return self._chosen

    # -- Layout --------------------------------------------------------------------------------------------------------

    def _metrics(self) -> QFontMetrics:
        return QFontMetrics(self._theme.mono_font(0.95))

    @property
    def _pill(self) -> int:
        return self._metrics().height() + 6

    def column_boxes(self, width: float) -> list[tuple[float, float, float]]:
        """Return (left, top, width) of each column in pixels."""
        metrics, left = self._metrics(), self._metrics().horizontalAdvance("B") + SPACE
        boxes: list[tuple[float, float, float]] = []
        x, y = float(left), 0.0
        for words in zip(*self._rows, strict=True):
            wide = max(metrics.horizontalAdvance(word) for word in words) + 10
            if x + wide > width and x > left:
                x, y = left, y + 2 * self._pill + _GAP + _BETWEEN
            boxes.append((x, y, float(wide)))
            x += wide + _GAP
        return boxes

    def sizeHint(self) -> QSize:
        return QSize(600, self.heightForWidth(max(self.width(), 300)))

    def minimumSizeHint(self) -> QSize:
        return QSize(240, self.heightForWidth(max(self.width(), 300)))

    def heightForWidth(self, width: int) -> int:
        last = max((top for _, top, _ in self.column_boxes(width)), default=0.0)
        return int(last) + 2 * self._pill + _GAP

    def resizeEvent(self, event: QEvent) -> None:
        self.updateGeometry()

    # -- Input ---------------------------------------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:
        point = event.position()
        for k, (left, top, wide) in enumerate(self.column_boxes(self.width())):
            if QRectF(left, top, wide, 2 * self._pill + _GAP).contains(point):
                self.picked.emit(k)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        way = _KEYS.get(Qt.Key(event.key()))
        if way is None or not 0 <= self._chosen + way < len(self._rows[0]):
            super().keyPressEvent(event)
            return
        self.picked.emit(self._chosen + way)

    # -- Painting ------------------------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colors, pill = self._theme.theme, self._pill
        painter.setFont(self._theme.mono_font(0.95))
        for k, (left, top, wide) in enumerate(self.column_boxes(self.width())):
            for side in (0, 1):
                y = top + side * (pill + _GAP)
                if left == self._metrics().horizontalAdvance("B") + SPACE:
                    painter.setPen(colors.color("muted"))
                    painter.drawText(QRectF(0, y, left, pill), Qt.AlignmentFlag.AlignVCenter, "AB"[side])
                box = QRectF(left + 0.5, y + 0.5, wide - 1, pill - 1)
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(colors.color("pill_b" if k in self._marked else "pill_a"))
                painter.drawRoundedRect(box, 4, 4)
                painter.setPen(colors.color("pill_text"))
                painter.drawText(box, Qt.AlignmentFlag.AlignCenter, self._rows[side][k])
            if k == self._chosen:
                around = QRectF(left - 1.5, top - 1.5 + 2, wide + 3, 2 * pill + _GAP - 1)
                painter.setBrush(Qt.BrushStyle.NoBrush)
                painter.setPen(QPen(colors.color("accent"), 2))
                painter.drawRoundedRect(around, 5, 5)
        if self.hasFocus():
            painter.setPen(QPen(colors.color("accent"), 1, Qt.PenStyle.DotLine))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(self.rect().adjusted(0, 0, -1, -1))

    @Slot()
    def _restyle(self) -> None:
        self.updateGeometry()
        self.update()
