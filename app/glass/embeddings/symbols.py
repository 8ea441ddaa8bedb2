"""The symbols of the kinds of tokens, and their legend."""

from __future__ import annotations

import math
from collections.abc import Iterable

from PySide6.QtCore import QPointF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPainterPath, QPaintEvent, QPen, QPolygonF, QTransform
from PySide6.QtWidgets import QSizePolicy, QWidget

from terrarium.app.glass.embeddings.kinds import Kind
from terrarium.app.kit.basics import clear, label, row
from terrarium.app.kit.layout.flow_layout import FlowLayout
from terrarium.app.kit.theme import SPACE, ThemeProvider

_SIDES = {"triangle": (3, -90.0), "down": (3, 90.0), "square": (4, 45.0), "diamond": (4, 0.0), "hexagon": (6, 0.0)}
"""The number of corners of each polygon, and the direction of the first corner in degrees."""


def colour_of(kind: Kind, theme: ThemeProvider) -> QColor:
    """Return the colour of a kind."""
    return theme.theme.color("muted") if kind.colour is None else QColor(theme.theme.categories[kind.colour])


def symbol_path(shape: str, radius: float) -> QPainterPath:
    """Return the path of a shape around the origin, which appears about as large as a circle of this radius."""
    path = QPainterPath()
    if shape in _SIDES:
        path.addPolygon(QPolygonF(_corners(*_SIDES[shape], 1.25 * radius)))
        path.closeSubpath()
    elif shape == "star":
        tips, inner = _corners(5, -90.0, 1.4 * radius), _corners(5, -54.0, 0.6 * radius)
        path.addPolygon(QPolygonF([corner for pair in zip(tips, inner, strict=True) for corner in pair]))
        path.closeSubpath()
    elif shape in ("plus", "cross"):
        long, thick = 1.25 * radius, 0.4 * radius
        path.setFillRule(Qt.FillRule.WindingFill)
        path.addRect(-long, -thick, 2 * long, 2 * thick)
        path.addRect(-thick, -long, 2 * thick, 2 * long)
        path = path.simplified()
    elif shape == "bar":
        path.addRect(-0.4 * radius, -1.25 * radius, 0.8 * radius, 2.5 * radius)
    else:
        size = 0.5 * radius if shape == "dot" else radius
        path.addEllipse(QPointF(0, 0), size, size)
        if shape == "ring":
            path.addEllipse(QPointF(0, 0), 0.5 * size, 0.5 * size)  # a hole
    return QTransform().rotate(45).map(path) if shape == "cross" else path


def _corners(n: int, first: float, radius: float) -> list[QPointF]:
    angles = [math.radians(first + 360 * i / n) for i in range(n)]
    return [QPointF(radius * math.cos(angle), radius * math.sin(angle)) for angle in angles]


class KindLegend(QWidget):
    """A legend of the kinds, with their symbols and numbers of tokens."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._layout = FlowLayout(self, SPACE)
        self.entries: tuple[tuple[Kind, int], ...] = ()

    def show_kinds(self, entries: Iterable[tuple[Kind, int]]) -> None:
        """Show kinds with their numbers of tokens."""
        self.entries = tuple(entries)
        clear(self._layout)
        for kind, n in self.entries:
            entry = QWidget()
            entry.setLayout(row(_Symbol(kind, self._theme), label(f"{kind.name} {n:,}", "caption"), spacing=2))
            self._layout.addWidget(entry)
        self.setAccessibleName("Kinds of tokens: " + ", ".join(f"{kind.name} {n:,}" for kind, n in self.entries))


class _Symbol(QWidget):
    """The symbol of a kind, as on the map but larger."""

    def __init__(self, kind: Kind, theme: ThemeProvider) -> None:
        super().__init__()
        self._kind, self._theme = kind, theme
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        theme.theme_changed.connect(self.update)

    def sizeHint(self) -> QSize:
        return QSize(16, 16)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.translate(8, 8)
        draw_symbol(painter, symbol_path(self._kind.shape, 4.5), colour_of(self._kind, self._theme), self._theme)


def draw_symbol(painter: QPainter, path: QPainterPath, colour: QColor, theme: ThemeProvider) -> None:
    """Draw a symbol at the painter's origin, with an outline that separates it from the background and neighbours."""
    painter.setPen(QPen(theme.theme.color("text", 0.45), 0.7))
    painter.setBrush(colour)
    painter.drawPath(path)
