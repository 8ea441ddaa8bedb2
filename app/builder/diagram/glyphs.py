"""Little pictures inside boxes: who sees whom, heads that share keys, a function's curve."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QPainter, QPainterPath, QPen

from app.builder.diagram.activations import CURVES
from app.kit.colours import Theme

_CELLS = 6
_WINDOW = 3  # of the cells, where there is a sliding window
_LEAST_PITCH = 2.4


def sees(mask: str, query: int, key: int) -> bool:
    """Whether a query of the little picture sees a key; `mask` as in Part.mask."""
    if "causal" in mask and key > query:
        return False
    return "window" not in mask or abs(query - key) < _WINDOW


def paint_mask(painter: QPainter, mask: str, place: QRectF, colors: Theme) -> None:
    """Queries downwards, keys to the right; what is seen is filled."""
    side = min(place.width(), place.height()) / _CELLS
    painter.setPen(Qt.PenStyle.NoPen)
    for row in range(_CELLS):
        for column in range(_CELLS):
            seen = sees(mask, row, column)
            painter.setBrush(colors.color(("value" if mask == "cross" else "accent") if seen else "border"))
            cell = QRectF(place.left() + column * side, place.top() + row * side, side - 1, side - 1)
            painter.drawRect(cell)


def paint_heads(painter: QPainter, n_head: int, n_groups: int, place: QRectF, colors: Theme) -> None:
    """Above a mark for each query head, below a bar for each key/value head, as wide as the heads that share it."""
    shown, pitch = n_head, place.width() / n_head
    if pitch < _LEAST_PITCH:
        per_group = n_head // n_groups
        shown = max(per_group, int(place.width() / _LEAST_PITCH) // per_group * per_group)
        pitch = place.width() / shown
    pitch = min(pitch, 16.0)
    per_group = n_head // n_groups
    gap = 1.0 if pitch < 6 else 2.0
    half = place.height() / 2
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(colors.color("query"))
    for head in range(shown):
        painter.drawRect(QRectF(place.left() + head * pitch, place.top(), pitch - gap, half - 1))
    painter.setBrush(colors.color("key"))
    for group in range(shown // per_group):
        bar = QRectF(
            place.left() + group * per_group * pitch, place.top() + half + 0.5, per_group * pitch - gap, half - 1
        )
        painter.drawRect(bar)


def paint_curve(painter: QPainter, activation: str, place: QRectF, colors: Theme) -> None:
    """The activation between -3 and 3."""
    curve = CURVES[activation].value
    points = [(i / 4 - 3, curve(i / 4 - 3)) for i in range(25)]
    highest, lowest = max(y for _, y in points), min(y for _, y in points)
    path = QPainterPath()
    for i, (x, y) in enumerate(points):
        across = place.left() + (x + 3) / 6 * place.width()
        point = QPointF(across, place.bottom() - (y - lowest) / (highest - lowest) * place.height())
        path.moveTo(point) if i == 0 else path.lineTo(point)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(QPen(colors.color("border_strong"), 1))
    zero = place.bottom() + lowest / (highest - lowest) * place.height()
    painter.drawLine(QPointF(place.left(), zero), QPointF(place.right(), zero))
    painter.setPen(QPen(colors.color("accent"), 1.6))
    painter.drawPath(path)
