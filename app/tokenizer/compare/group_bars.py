"""A grouped bar chart: one group per part of the texts, one bar per tokenizer."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QFontMetrics, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from terrarium.app.kit.plots.figure import Figure
from terrarium.app.kit.plots.pictures import Axis, round_ticks
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.tokenizer.compare.line_painter import SWATCH, series_color
from terrarium.app.tokenizer.compare.metrics import Metric
from terrarium.models.tokenizers.text.text_measures import Figures

_GROUP = 0.84
"""The share of a group's width that its bars take."""
_WIDEST = 64  # pixels of a bar


@dataclass(frozen=True)
class Series:
    """One tokenizer: its name and its colour index."""

    name: str
    colour: int


@dataclass(frozen=True)
class Group:
    """One part of the texts, with the figures of each series; None if not measured."""

    label: str
    figures: Sequence[Figures | None]


class GroupBars(Figure):
    """A grouped bar chart of one metric; the pointer or the arrow keys select a bar to read."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(theme, parent)
        self._metric: Metric | None = None
        self._series: Sequence[Series] = ()
        self._groups: Sequence[Group] = ()

    def show_groups(self, metric: Metric, series: Sequence[Series], groups: Sequence[Group]) -> None:
        """Replace the bars."""
        self.set_spot(None)
        self._metric, self._series, self._groups = metric, series, groups
        self.setAccessibleName(f"{metric.title} by text and tokenizer. Read it with the arrow keys.")
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(640, 200)

    def value(self, group: int, series: int) -> float:
        """Return the value of a bar, NaN if not measured."""
        assert self._metric is not None
        return self._metric.value(self._groups[group].figures[series], None)

    def bar_rect(self, group: int, series: int) -> QRectF:
        """Return the rectangle of a bar."""
        room, value = self._room(), self.value(group, series)
        step = room.width() / len(self._groups)
        width = min(step * _GROUP / len(self._series), _WIDEST)
        left = room.left() + (group + 0.5) * step + (series - len(self._series) / 2) * width
        height = 0.0 if math.isnan(value) else value / self._top() * room.height()
        return QRectF(left + 0.5, room.bottom() - height, width - 1, height)

    # -- Figure --------------------------------------------------------------------------------------------------------

    def _room(self) -> QRectF:
        room, metrics = super()._room(), self._metrics()
        room.setRight(self.width() - 1.5 * SPACE)  # no colour bar
        room.setBottom(max(self.height() - metrics.height() - SPACE, room.top() + 1))  # no title of the x axis
        return room

    def _shape(self) -> tuple[int, int]:
        return len(self._groups) * len(self._series), 1

    def spot_at(self, point: QPointF) -> tuple[int, int] | None:
        room, n = self._room(), len(self._series)
        if not room.contains(point) or not self._groups:
            return None
        group = min(int((point.x() - room.left()) / room.width() * len(self._groups)), len(self._groups) - 1)
        bars = [self.bar_rect(group, series) for series in range(n)]
        series = next((i for i, bar in enumerate(bars) if bar.left() - 1 <= point.x() <= bar.right() + 1), None)
        return None if series is None else (group * n + series, 0)

    def _words(self, spot: tuple[int, int]) -> str:
        assert self._metric is not None
        group, series = divmod(spot[0], len(self._series))
        figures = self._groups[group].figures[series]
        head = f"{self._groups[group].label}, {self._series[series].name}"
        if figures is None:
            return f"{head}\nnot measured yet"
        reading = f"{self._metric.title.lower()}: {self._metric.format(self.value(group, series))}"
        return f"{head}\n{reading}\n{figures.n_tokens:,} tokens, {figures.n_words:,} words"

    def _top(self) -> float:
        """Return the end of the y axis, with space for a number above the highest bar."""
        each = [self.value(g, s) for g in range(len(self._groups)) for s in range(len(self._series))]
        return max((value for value in each if not math.isnan(value)), default=0.0) * 1.14 or 1.0

    # -- Painting ------------------------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        if self._metric is None or not self._groups or not self._series:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colors, room = self._theme.theme, self._room()
        y = self._y_axis()
        for tick, _ in self._ticks(y, room.height(), lying=False):
            at = round(room.bottom() - tick / y.high * room.height()) + 0.5
            painter.setPen(QPen(colors.color("border_strong" if tick == 0 else "border"), 1))
            painter.drawLine(QPointF(room.left(), at), QPointF(room.right(), at))
        self._draw_frame(painter, room, "", self._x_axis(), y)
        self._draw_legend(painter)
        for group in range(len(self._groups)):
            for series in range(len(self._series)):
                self._draw_bar(painter, group, series)
        if self._shows_focus:
            painter.setPen(QPen(colors.color("accent"), 1))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(room.adjusted(-2, -2, 2, 2))
        if self.spot is not None:
            bar = self.bar_rect(*divmod(self.spot[0], len(self._series)))
            self._draw_read_out(painter, QPointF(bar.center().x(), room.top()), self._words(self.spot))

    def _x_axis(self) -> Axis:
        step = int(self._room().width() / len(self._groups)) - SPACE
        middle, metrics = Qt.TextElideMode.ElideMiddle, self._metrics()
        ticks = ((i + 0.5, metrics.elidedText(group.label, middle, step)) for i, group in enumerate(self._groups))
        return Axis(title="", low=0.0, high=float(len(self._groups)), ticks=tuple(ticks))

    def _y_axis(self) -> Axis:
        assert self._metric is not None
        axis = Axis(title="", low=0.0, high=self._top(), whole=False)  # the metric is named above the chart
        lines = max(2, int(self._room().height() / (2 * self._metrics().height())))
        values = [value for value in round_ticks(axis, lines) if value <= axis.high]
        return dataclasses.replace(axis, ticks=tuple((value, self._tick(value)) for value in values))

    def _tick(self, value: float) -> str:
        assert self._metric is not None
        if self._metric.format(0.0).endswith("%"):
            return f"{100 * value:.3g} %"
        return f"{value:.3g}"

    def _draw_bar(self, painter: QPainter, group: int, series: int) -> None:
        assert self._metric is not None
        bar, value = self.bar_rect(group, series), self.value(group, series)
        if math.isnan(value):
            return
        is_read = self.spot is None or self.spot[0] == group * len(self._series) + series
        color = series_color(self._theme.theme, self._series[series].colour)
        color.setAlphaF(1.0 if is_read else 0.45)
        painter.fillRect(bar, color)
        font = self._theme.font(0.8)
        words, metrics = self._metric.format(value).removesuffix("%").rstrip(), QFontMetrics(font)
        if metrics.horizontalAdvance(words) <= bar.width() + 1:
            painter.setFont(font)
            painter.setPen(self._theme.theme.color("text" if is_read else "hint"))
            above = QRectF(bar.left() - 2, bar.top() - metrics.height() - 1, bar.width() + 4, metrics.height())
            painter.drawText(above, int(Qt.AlignmentFlag.AlignCenter), words)

    def _draw_legend(self, painter: QPainter) -> None:
        """Draw the names in their colours on the line above; elided to equal widths if there are too many."""
        metrics, room = self._metrics(), self._room()
        names = [series.name for series in self._series]
        swatch = SWATCH + 5
        left_over = room.width() - len(names) * (swatch + 2 * SPACE)
        if sum(map(metrics.horizontalAdvance, names)) > left_over:
            each = int(left_over / len(names))
            names = [metrics.elidedText(name, Qt.TextElideMode.ElideMiddle, each) for name in names]
        painter.setFont(self._theme.font(0.9))
        x, height = room.left(), room.top() - SPACE
        for series, name in zip(self._series, names, strict=True):
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(series_color(self._theme.theme, series.colour))
            painter.drawRoundedRect(QRectF(x, (height - SWATCH) / 2, SWATCH, SWATCH), 2, 2)
            painter.setPen(self._theme.theme.color("muted"))
            box = QRectF(x + swatch, 0, metrics.horizontalAdvance(name) + 2, height)
            painter.drawText(box, int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft), name)
            x += swatch + metrics.horizontalAdvance(name) + 2 * SPACE
        painter.setBrush(Qt.BrushStyle.NoBrush)
