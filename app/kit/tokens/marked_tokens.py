"""A row of a batch as token pills, with predicted, hidden and replaced tokens marked."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.kit.tokens.token_view import TokenView
from terrarium.models.tasks.seen_example import TokenRow
from terrarium.models.tokenizers import Piece

MARKS = {
    "predicted": ("Predicted", "accent", "accent_soft"),
    "hidden": ("Hidden", "warning", "warning_soft"),
    "changed": ("Replaced", "danger", "danger_soft"),
    "": ("Context", "border_strong", "sunken"),
}
"""Mark -> its label, and the colour roles of its line and background."""


class MarkedTokens(TokenView):
    """Shows a TokenRow. Predicted tokens are underlined, hidden ones dashed, replaced ones struck at the top."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(theme, parent)
        self._row = TokenRow(pieces=())
        self.set_show_ids(False)

    def show_row(self, row: TokenRow) -> None:
        """Show another row, from its beginning."""
        self._row = row
        self.set_pieces(row.pieces)
        self.verticalScrollBar().setValue(0)

    def mark_of(self, index: int) -> str:
        """Return the mark of the token at `index`, a key of MARKS."""
        for name in ("predicted", "hidden", "changed"):
            if index in getattr(self._row, name):
                return name
        return ""

    def _paint_ground(self, painter: QPainter, index: int, piece: Piece, shape: QRectF) -> None:
        paint_mark(painter, self._theme, self.mark_of(index), shape)


def paint_mark(painter: QPainter, theme: ThemeProvider, mark: str, shape: QRectF) -> None:
    """Paint the background of a token with this mark."""
    _, line, ground = MARKS[mark]
    colors = theme.theme
    pen = QPen(colors.color(line, 0.9), 1, Qt.PenStyle.DashLine) if mark == "hidden" else QPen(Qt.PenStyle.NoPen)
    painter.setPen(pen)
    painter.setBrush(colors.color(ground))
    painter.drawRoundedRect(shape, 4, 4)
    if mark in ("predicted", "changed"):
        y = shape.bottom() - 1 if mark == "predicted" else shape.top() + 1
        painter.setPen(QPen(colors.color(line), 2))
        painter.drawLine(QPointF(shape.left() + 3, y), QPointF(shape.right() - 3, y))


class MarkLegend(QWidget):
    """A legend of the marks, in one line."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._marks: tuple[str, ...] = ()
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        theme.theme_changed.connect(self.update)

    def show_marks(self, marks: tuple[str, ...]) -> None:
        """Show the legend of these marks."""
        self._marks = marks
        self.setAccessibleName("Marks: " + ", ".join(MARKS[mark][0] for mark in marks))
        self.updateGeometry()
        self.update()

    def sizeHint(self) -> QSize:
        metrics = self.fontMetrics()
        width = sum(18 + SPACE // 2 + metrics.horizontalAdvance(MARKS[mark][0]) + 2 * SPACE for mark in self._marks)
        return QSize(width, metrics.height() + 4)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        x, metrics = 0, self.fontMetrics()
        for mark in self._marks:
            words = MARKS[mark][0]
            paint_mark(painter, self._theme, mark, QRectF(x + 0.5, (self.height() - 14) / 2, 17, 14))
            painter.setPen(self._theme.theme.color("muted"))
            x += 18 + SPACE // 2
            box = QRectF(x, 0, metrics.horizontalAdvance(words) + 2, self.height())
            painter.drawText(box, Qt.AlignmentFlag.AlignVCenter, words)
            x += metrics.horizontalAdvance(words) + 2 * SPACE
