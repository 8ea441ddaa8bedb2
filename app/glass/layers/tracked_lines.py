"""A line chart of tracked tokens over the layers: the probability or rank of each under the logit lens."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QWidget

from terrarium.app.glass.layers.layer_figure import LayerFigure
from terrarium.app.glass.names import quoted
from terrarium.app.glass.tokens.marks import draw_mark
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.plots.pictures import Axis, Floats
from terrarium.models.number_words import format_prob


class TrackedLines(LayerFigure):
    """A line per tracked token, in the colours of `line_color` and with the marks of `draw_mark`."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(theme, parent)
        self._names: Sequence[str] = ()
        self._values: Floats = np.zeros((0, 0), np.float32)
        self._ranks: Floats = np.zeros((0, 0), np.float32)
        self._by_rank = False
        self.setAccessibleName("Tokens through the layers. Arrow keys read them out.")

    def show_lines(self, slots: Sequence[str], names: Sequence[str], values: Floats, ranks: Floats) -> None:
        """Show probabilities (L + 1, I) and ranks (L + 1, I). slots: names of layers (L + 1). names: tokens (I)."""
        self._slots, self._names, self._values, self._ranks = slots, names, values, ranks
        self.set_spot(None)
        self.update()

    def show_ranks(self, by_rank: bool) -> None:
        """Show ranks on a logarithmic scale, with rank 1 on top, or probabilities."""
        self._by_rank = by_rank
        self.update()

    def _words(self, spot: tuple[int, int]) -> str:
        i = spot[0]
        where = "Embedding" if i == 0 else f"Layer {i}" + (", the answer" if i == len(self._slots) - 1 else "")
        order = np.argsort(-self._values[i], kind="stable")
        lines = [
            f"{quoted(self._names[k])}  {format_prob(float(self._values[i, k]))}, rank {self._ranks[i, k]:,.0f}"
            for k in order
        ]
        return "\n".join((where, *lines))

    def _axis(self) -> Axis:
        if not self._by_rank:
            ticks = tuple((p, f"{100 * p:.0f} %") for p in (0.0, 0.25, 0.5, 0.75, 1.0))
            return Axis(title="probability", low=0.0, high=1.0, ticks=ticks)
        decades = max(1, int(np.ceil(np.log10(max(float(self._ranks.max(initial=1.0)), 2.0)))))
        ticks = tuple((-float(i), _power(i)) for i in range(decades + 1))
        return Axis(title="rank", low=-float(decades), high=0.0, ticks=ticks)

    def paintEvent(self, event: QPaintEvent) -> None:
        if not self._slots:
            return
        painter = QPainter(self)
        axis = self._axis()
        room = self._draw_ground(painter, axis)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        heights = -np.log10(np.maximum(self._ranks, 1.0)) if self._by_rank else self._values
        for k in reversed(range(len(self._names))):
            self._draw_line(painter, room, axis, heights[:, k], k)
        self._draw_read_slot(painter, room)

    def _draw_line(self, painter: QPainter, room: QRectF, axis: Axis, heights: Floats, number: int) -> None:
        color = line_color(self._theme, number)
        points = [QPointF(self._x(room, i), self._y(room, axis, float(value))) for i, value in enumerate(heights)]
        painter.setPen(QPen(color, 2))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawPolyline(QPolygonF(points))
        painter.setPen(QPen(self._theme.theme.color("window"), 1))
        painter.setBrush(color)
        for point in points:
            draw_mark(painter, point, 3.5, number)


def line_color(theme: ThemeProvider, i: int) -> QColor:
    """Return the colour of the tracked token with index `i`."""
    colours = theme.theme.categories
    return QColor(colours[i % len(colours)])


def _power(i: int) -> str:
    return f"{10**i:,}" if i < 4 else f"{10 ** (i - 3):,}k"
