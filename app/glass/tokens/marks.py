"""Marks that tell lines apart without their colours: a disc, a square, a triangle and a diamond."""

from __future__ import annotations

import math

from PySide6.QtCore import QPointF
from PySide6.QtGui import QPainter, QPolygonF

_CORNERS = (0, 4, 3, 4)
"""Of each mark; 0 for a disc."""
_TURNS = (0.0, 0.125, 0.75, 0.0)
"""Where its first corner is, in turns from the right."""


def draw_mark(painter: QPainter, centre: QPointF, radius: float, number: int) -> None:
    """Draw the mark with index `number` in the painter's pen and brush; they repeat after four."""
    kind = number % len(_CORNERS)
    if not _CORNERS[kind]:
        painter.drawEllipse(centre, radius, radius)
        return
    angles = [2 * math.pi * (_TURNS[kind] + corner / _CORNERS[kind]) for corner in range(_CORNERS[kind])]
    far = 1.3 * radius  # about the area of the disc
    painter.drawPolygon(QPolygonF([centre + QPointF(far * math.cos(a), far * math.sin(a)) for a in angles]))
