"""Charts over the layers of a model: the embedding on the left, then every layer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetrics, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QWidget

from terrarium.app.glass.names import quoted
from terrarium.app.glass.tokens.token_chips import draw_mark
from terrarium.app.kit.setting_names.value_words import PARTS
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.plots.figure import Figure
from terrarium.app.plots.pictures import Axis, Floats
from terrarium.models.number_words import format_prob, format_signed

_CATEGORY = {"attention": 0, "cross_attention": 3, "feed_forward": 1}
_BIASES = "bias"


class LayerFigure(Figure):
    """A chart with a slot per layer; the values of the slot under the pointer are displayed."""

    _has_legend = False

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(theme, parent)
        self._slots: Sequence[str] = ()
        self.setMinimumHeight(166)
        self.setMaximumHeight(260)

    def sizeHint(self) -> QSize:
        return QSize(420, 184)

    def _shape(self) -> tuple[int, int]:
        return len(self._slots), 1

    def spot_at(self, point: QPointF) -> tuple[int, int] | None:
        room = self._room()
        if not self._slots or not room.adjusted(-SPACE, -SPACE, SPACE, SPACE).contains(point):
            return None
        slot = int((point.x() - room.left()) / room.width() * len(self._slots))
        return min(max(slot, 0), len(self._slots) - 1), 0

    def _room(self) -> QRectF:
        metrics = self._metrics()
        left = metrics.height() + metrics.horizontalAdvance("−00.0") + 1.5 * SPACE
        top = metrics.height() + SPACE if self._has_legend else metrics.height() / 2
        bottom = 2 * metrics.height() + SPACE
        return QRectF(left, top, max(self.width() - left - 2, 1), max(self.height() - top - bottom, 1))

    def _x(self, room: QRectF, slot: float) -> float:
        """Return the x coordinate of the centre of a slot."""
        return room.left() + (slot + 0.5) / max(len(self._slots), 1) * room.width()

    def _slot_axis(self) -> Axis:
        """Return the x axis with the labels of as many slots as fit."""
        n = len(self._slots)
        widest = max((self._metrics().horizontalAdvance(words) for words in self._slots[1:]), default=1)
        every = max(1, -int(-(widest + SPACE) * n // max(self._room().width(), 1)))
        named = {i: words for i, words in enumerate(self._slots) if i % every == 0 or i == n - 1}
        if n - 1 - (n - 1) // every * every not in (0,) and every > 1:
            named.pop((n - 1) // every * every, None)  # too close to the last
        return Axis(title="layer", low=-0.5, high=n - 0.5, ticks=tuple((float(i), words) for i, words in named.items()))

    def _draw_ground(self, painter: QPainter, y: Axis) -> QRectF:
        """Draw grid lines and labels, and return the rectangle for the data."""
        room, colors = self._room(), self._theme.theme
        for value, _ in self._ticks(y, room.height(), lying=False):
            at = round(self._y(room, y, value)) + 0.5
            painter.setPen(QPen(colors.color("border_strong" if value == 0 else "border"), 1))
            painter.drawLine(QPointF(room.left(), at), QPointF(room.right(), at))
        self._draw_frame(painter, room, "", self._slot_axis(), y)
        return room

    def _y(self, room: QRectF, axis: Axis, value: float) -> float:
        return room.top() + (axis.high - value) / max(axis.high - axis.low, 1e-12) * room.height()

    def _draw_legend(self, painter: QPainter, entries: Sequence[tuple[QColor, str]]) -> None:
        """Draw the legend above the data."""
        metrics = QFontMetrics(self._theme.font(0.9))
        wide = sum(12 + metrics.horizontalAdvance(words) + 1.5 * SPACE for _, words in entries)
        x = max(0.0, min(self._room().left(), self.width() - wide))
        painter.setFont(self._theme.font(0.9))
        for color, words in entries:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(color)
            painter.drawRoundedRect(QRectF(x, metrics.height() / 2 - 4, 8, 8), 2, 2)
            painter.setPen(self._theme.theme.color("muted"))
            painter.drawText(QRectF(x + 12, 0, self.width(), metrics.height()), Qt.AlignmentFlag.AlignVCenter, words)
            x += 12 + metrics.horizontalAdvance(words) + 1.5 * SPACE

    def _draw_read_slot(self, painter: QPainter, room: QRectF) -> None:
        """Draw a line through the current slot, if any, and its values beside it."""
        if self.spot is None:
            return
        x = self._x(room, self.spot[0])
        painter.setPen(QPen(self._theme.theme.color("text", 0.45), 1))
        painter.drawLine(QPointF(x, room.top()), QPointF(x, room.bottom()))
        self._draw_read_out(painter, QPointF(x, room.top()), self._words(self.spot))


class ContributionBars(LayerFigure):
    """Bars for the embedding, then each layer's parts side by side, then the biases."""

    _has_legend = True

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(theme, parent)
        self._bars: list[list[tuple[str, float]]] = []
        self.setAccessibleName("Contributions of the layers. Arrow keys read them out.")

    def show_parts(self, parts: Sequence[tuple[str, float]], constant: float) -> None:
        """Show contributions (site, value), in the order of the model, and `constant`, that of the biases."""
        self._bars = []
        for site, value in parts:
            name = site.rpartition(".")[2]
            if name in ("embedding", "attention"):
                self._bars.append([])
            self._bars[-1].append((name, value))
        self._bars.append([(_BIASES, constant)])
        n = len(self._bars)
        self._slots = ["emb", *(str(i) for i in range(1, n - 1)), _BIASES]
        self.set_spot(None)
        self.update()

    @property
    def bars(self) -> list[list[tuple[str, float]]]:
        """The bars (name, value) of each slot."""
        return self._bars

    def _words(self, spot: tuple[int, int]) -> str:
        i = spot[0]
        if i == 0 or i == len(self._bars) - 1:
            (_, value), *_ = self._bars[i]
            return f"{'Embedding' if i == 0 else 'Biases of norms and head'}: {format_signed(value)}"
        return "\n".join((f"Layer {i}", *(f"{PARTS[name]}: {format_signed(value)}" for name, value in self._bars[i])))

    def paintEvent(self, event: QPaintEvent) -> None:
        if not self._bars:
            return
        painter = QPainter(self)
        values = [value for bars in self._bars for _, value in bars]
        high, low = max(*values, 0.0), min(*values, 0.0)
        spare = 0.05 * (high - low) or 1e-6
        axis = Axis(title="logit", low=low - spare * (low < 0), high=high + spare, whole=False)
        room = self._draw_ground(painter, axis)
        zero, wide = self._y(room, axis, 0.0), room.width() / len(self._bars)
        for i, bars in enumerate(self._bars):
            each = min(0.8 * wide / len(bars), 14.0)
            left = self._x(room, i) - each * len(bars) / 2
            for k, (name, value) in enumerate(bars):
                top = self._y(room, axis, value)
                bar = QRectF(left + k * each, min(top, zero), max(each - 1, 1.0), max(abs(top - zero), 1.0))
                painter.fillRect(bar, self._color(name))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        named = dict.fromkeys(name for bars in self._bars for name, _ in bars if name in PARTS)
        self._draw_legend(painter, [(self._color(name), PARTS[name]) for name in named])
        painter.setBrush(Qt.BrushStyle.NoBrush)
        self._draw_read_slot(painter, room)

    def _color(self, name: str) -> QColor:
        theme = self._theme.theme
        return QColor(theme.categories[_CATEGORY[name]]) if name in _CATEGORY else theme.color("muted")


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
