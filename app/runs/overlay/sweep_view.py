"""A comparison of runs by settings and best metric or lowest loss: parallel coordinates and a table."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from functools import partial
from operator import attrgetter

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Slot
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QWidget

from terrarium.app.kit.basics import EmptyState, column, frame, label, splitter
from terrarium.app.kit.layout.relayout import WholeRows
from terrarium.app.kit.record_table import Column, RecordTable
from terrarium.app.kit.setting_names.slot_words import format_setting
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.plots.figure import Figure
from terrarium.app.runs.overlay.parallel_axes import BEST, ParallelAxis, best_title, parallel_axes, setting_title
from terrarium.app.runs.overlay.run_comparer import RunComparer
from terrarium.app.session.routes import Go, ShowRun
from terrarium.app.session.session import Session
from terrarium.models.metrics.metrics_table import METRICS
from terrarium.models.number_words import format_count
from terrarium.models.runs.sweep import SweepRun, compare_runs

_TIP = "The best first. Enter or a double click opens a run."
_NEAR = 8.0
"""Pixels within which the pointer hits a line."""
_TICK = 5.0
"""Pixels between an axis and its tick labels."""
_SEEN_ON_LIGHT, _SEEN_ON_DARK = (0.0, 0.65), (0.35, 1.0)
"""The parts of the colour map that contrast with a light and a dark page."""


class SweepView(QWidget):
    """Parallel coordinates and a table of the same runs, the best first."""

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._runs: Sequence[SweepRun] = ()
        self.plot = ParallelPlot(session.go, theme)
        self._words = label("", "muted", wrap=True)
        self.table = RecordTable("Runs, the best first", theme, has_many=True)
        self._none = EmptyState("Nothing to compare", "These runs have the same settings, or cannot be read.")
        self._none.hide()
        chart = frame("card", self._words, self.plot, self._none, grows=self.plot)
        below = frame("card", WholeRows(self.table), margin=SPACE)
        halves = splitter(chart, below, sizes=[360, 220], vertical=True)
        self.setLayout(column(halves))
        self.comparer = RunComparer(session, compare_runs, self)
        self.comparer.compared.connect(self._on_compared)
        self.table.record_activated.connect(lambda run: session.go(ShowRun(run.id)))
        self.table.selectionModel().selectionChanged.connect(self._on_selected)

    @property
    def busy(self) -> bool:
        """Whether the runs are being read."""
        return self.comparer.busy

    def show_runs(self, run_ids: Sequence[str]) -> None:
        """Compare these runs."""
        self.comparer.show_runs(run_ids)

    @Slot(object)
    def _on_compared(self, runs: list[SweepRun]) -> None:
        if runs == self._runs:
            return
        self._runs = runs
        varies = bool(runs) and bool(runs[0].values)
        self.plot.setVisible(varies)
        self._none.setVisible(not varies)
        best = runs[0] if runs else None
        if best is not None and best.best is not None:
            what = f"best {METRICS[best.metric].title} on validation" if best.metric else "lowest validation loss"
            self._words.setText(
                f"{format_count(len(runs), 'run')}, the {what} is {best.best_text}: “{best.name}” (the thick line)."
            )
        else:
            self._words.setText(f"{format_count(len(runs), 'run')}, none of them validated yet.")
        self.plot.show_runs(runs)
        self.table.show_records(runs, _columns(runs))

    @Slot()
    def _on_selected(self) -> None:
        rows = self.table.selected_rows
        self.plot.set_spot((rows[0], 0) if len(rows) == 1 else None)


def _columns(runs: Sequence[SweepRun]) -> list[Column]:
    """Return the columns of the table: numbers and settings are aligned right."""
    names = runs[0].values if runs else ()
    settings = [_column(setting_title(name), partial(_setting, name), is_number=True) for name in names]
    return [
        _column("Run", attrgetter("name"), grows=True),
        _column(best_title(runs), attrgetter("best_text"), is_number=True),
        _column("Status", attrgetter("status")),
        *settings,
    ]


def _column(title: str, value: Callable[[SweepRun], str], *, is_number: bool = False, grows: bool = False) -> Column:
    return Column(title=title, value=value, tip=lambda run: _TIP, is_number=is_number, grows=grows)


def _setting(name: str, run: SweepRun) -> str:
    return format_setting(run.values[name])


class ParallelPlot(Figure):
    """Parallel coordinates: each run is a line through its settings to its loss, or to the metric of its task.

    The runs as lines, the best first. The pointer or arrow keys read a run; a click or Enter opens it.
    """

    def __init__(self, go: Go, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(theme, parent)
        self._go = go
        self._runs: Sequence[SweepRun] = ()
        self._axes: list[ParallelAxis] = []

    def sizeHint(self) -> QSize:
        return QSize(640, 280)

    def show_runs(self, runs: Sequence[SweepRun]) -> None:
        """Draw these runs, the best first."""
        self._runs, self._axes = runs, parallel_axes(runs)
        self.set_spot(None)
        titles = ", ".join(axis.title for axis in self._axes)
        self.setAccessibleName(f"{len(runs)} runs by {titles}. Arrow keys read them, the best first; Enter opens one.")
        self.update()

    # -- Reading -------------------------------------------------------------------------------------------------------

    def _shape(self) -> tuple[int, int]:
        return len(self._runs), 1

    def _words(self, spot: tuple[int, int]) -> str:
        run = self._runs[spot[0]]
        best = "no validation" if run.best is None else f"validation {run.best_text}"
        lines = [run.name, f"{spot[0] + 1} of {len(self._runs)}: {best}, {run.status}"]
        return "\n".join(
            lines + [f"{setting_title(name)} {format_setting(value)}" for name, value in run.values.items()]
        )

    def spot_at(self, point: QPointF) -> tuple[int, int] | None:
        nearest, least = None, _NEAR
        for i in range(len(self._runs)):
            for a, b in itertools.pairwise(self.points(i)):
                if a.x() <= point.x() <= b.x():
                    share = (point.x() - a.x()) / max(b.x() - a.x(), 1.0)
                    away = abs(a.y() + share * (b.y() - a.y()) - point.y())
                    if away < least:
                        nearest, least = i, away
        return None if nearest is None else (nearest, 0)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        spot = self.spot_at(event.position())
        if spot is not None and event.button() == Qt.MouseButton.LeftButton:
            self._go(ShowRun(self._runs[spot[0]].id))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if self.spot is not None and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._go(ShowRun(self._runs[self.spot[0]].id))
        else:
            super().keyPressEvent(event)

    # -- Painting ------------------------------------------------------------------------------------------------------

    def _plot_area(self) -> QRectF:
        """Return the area between the first and last axis; their tick labels are outside it."""
        height = self._metrics().height()
        left, right = (self._label_width(axis) for axis in (self._axes[0], self._axes[-1]))
        return QRectF(
            left, 2 * height, max(self.width() - left - right, 1), max(self.height() - 2 * height - 2 * SPACE, 1)
        )

    def _label_width(self, axis: ParallelAxis) -> float:
        widest = max((self._metrics().horizontalAdvance(words) for _, words in axis.ticks), default=0)
        return max(widest + _TICK + SPACE, 3 * SPACE)

    def _x(self, i: int) -> float:
        area = self._plot_area()
        return area.left() + (area.width() * i / (len(self._axes) - 1) if len(self._axes) > 1 else area.width() / 2)

    def _y(self, position: float) -> float:
        area = self._plot_area()
        return area.bottom() - position * area.height()

    def points(self, run: int) -> list[QPointF]:
        positions = [axis.positions[run] for axis in self._axes]
        return [QPointF(self._x(i), self._y(position)) for i, position in enumerate(positions) if position is not None]

    def paintEvent(self, event: QPaintEvent) -> None:
        if not self._runs:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        read = self.spot[0] if self.spot is not None else 0
        for i in reversed(range(len(self._runs))):
            if i != read:
                self._draw_run(painter, i, wide=False)
        self._draw_lines(painter)
        self._draw_run(painter, read, wide=True)
        for i, axis in enumerate(self._axes):
            self._draw_title(painter, i, axis)
            self._draw_ticks(painter, i, axis)
        if self._shows_focus:
            painter.setPen(QPen(self._theme.theme.color("accent"), 1))
            painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        if self.spot is not None:
            self._draw_read_out(painter, self.points(read)[-1], self._words(self.spot))

    def _colour(self, run: int) -> QColor:
        """Return the colour of a run, by its position on the last axis; a faint colour if it has none."""
        position = self._axes[-1].positions[run]
        if position is None:
            return self._theme.theme.color("faint")
        # Skip the end of the map that is invisible on the page.
        low, high = _SEEN_ON_DARK if self._theme.theme.dark else _SEEN_ON_LIGHT
        return self._theme.quantity_map().mapToQColor(low + (high - low) * position)  # type: ignore[no-any-return]

    def _draw_run(self, painter: QPainter, run: int, *, wide: bool) -> None:
        colour = self._colour(run)
        colour.setAlphaF(1.0 if wide else 0.75)
        pen = QPen(self._theme.theme.color("text") if wide else colour, 3.0 if wide else 1.5)
        if self._runs[run].best is None:
            pen.setStyle(Qt.PenStyle.DashLine)
        painter.setPen(pen)
        painter.drawPolyline(QPolygonF(self.points(run)))

    def _draw_lines(self, painter: QPainter) -> None:
        area = self._plot_area()
        painter.setPen(QPen(self._theme.theme.color("border_strong"), 1))
        for i in range(len(self._axes)):
            painter.drawLine(QPointF(self._x(i), area.top()), QPointF(self._x(i), area.bottom()))

    def _draw_title(self, painter: QPainter, i: int, axis: ParallelAxis) -> None:
        """Draw the title above its axis, aligned to the edge for the first and the last."""
        painter.setFont(self._theme.font(0.9, bold=axis.name == BEST))
        painter.setPen(self._theme.theme.color("text"))
        half = self._plot_area().width() / max(len(self._axes) - 1, 1) / 2 - SPACE / 2
        is_first, is_last = i == 0, i == len(self._axes) - 1
        left = 0.0 if is_first else self._x(i) - half
        right = float(self.width()) if is_last else self._x(i) + half
        align = Qt.AlignmentFlag.AlignLeft if is_first else Qt.AlignmentFlag.AlignHCenter
        metrics = painter.fontMetrics()
        title = metrics.elidedText(axis.title, Qt.TextElideMode.ElideRight, int(right - left))
        box = QRectF(left, 0, right - left, metrics.height())
        painter.drawText(box, Qt.AlignmentFlag.AlignRight if is_last else align, title)

    def _draw_ticks(self, painter: QPainter, i: int, axis: ParallelAxis) -> None:
        """Draw ticks and labels; labels of inner axes get a background, since lines run behind them."""
        colors, metrics, x = self._theme.theme, self._metrics(), self._x(i)
        painter.setFont(self._theme.font(0.9))
        free = math.inf
        for position, words in sorted(axis.ticks):
            y, wide = self._y(position), metrics.horizontalAdvance(words) + 6.0
            painter.setPen(QPen(colors.color("border_strong"), 1))
            painter.drawLine(QPointF(x - 3, y), QPointF(x + 3, y))
            if y + metrics.height() / 2 > free:
                continue  # the label would overlap that of the tick below
            free = y - metrics.height() / 2
            box = QRectF(x - wide - _TICK if i == 0 else x + _TICK, free, wide, metrics.height())
            if 0 < i < len(self._axes) - 1:
                painter.fillRect(box, colors.color("surface", 0.85))
            painter.setPen(colors.color("muted"))
            painter.drawText(box, Qt.AlignmentFlag.AlignCenter, words)
