"""What was measured of a run, over its steps: the loss, and what explains it."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from PySide6.QtCore import QObject, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QFontMetrics
from PySide6.QtWidgets import QGridLayout, QScrollArea, QSplitter, QVBoxLayout, QWidget

from app.kit.basics import button, frame, row
from app.kit.charts.chart import Chart
from app.kit.export_button import Columns, ExportButton
from app.kit.labels import ElidedLabel
from app.kit.theme import SPACE, ThemeProvider
from app.session.run_history import RunHistory, Table
from app.session.session import Session
from app.training.curves.curve_choices import CurveChoices
from app.training.curves.layer_heat import LayerHeat
from app.training.curves.loss_chart import LossChart
from app.training.curves.run_axis import RunAxis
from app.training.curves.run_chart import RunChart
from app.training.curves.sample_feed import SampleFeed
from app.training.curves.small_chart import SmallChart, words_of
from app.training.shown_run import ShownRun
from models.events import Noted
from models.number_words import duration, percent, size_unit, size_words
from models.runs.run_folder import RunFolder

_CHARTS_HIGH = 19
"""Lines of text below whose height the charts cannot be read; where both have no room, the samples are scrolled to."""

_RATE_TIP = "The learning rate of each step. A dashed line marks where it was changed by hand, or the run went on."
_GRADIENT_TIP = "The length of the gradient before it is clipped"
_SPEED_TIP = (
    "Tokens trained on per second. Share of peak: the arithmetic of each step, estimated, beside the fastest "
    "multiplication of matrices that was measured on this device"
)
_MEMORY_TIP = "What is in use on the device; on a CPU, by this whole program"
_REST = 40
"""For how many times as long as drawing a growing run took nothing is drawn: it takes 2.5 % of the time at most."""
_LONGEST_REST_S = 2.0
_WHOLE_TIP = (
    "Show everything again, as a double-click does. The wheel looks closer, dragging goes along; over the left axis "
    "they do so up and down."
)
_NEAR = 4
"""Pixels within which the pointer finds a mark."""


_LINES = {
    "learning rate": "learning rate",
    "resumed": "resumed",
    "forked": "forked",
    "early stop": "stopped early:",
    "failed": "failed",
}
_SAVED = "saved"


class CurvesView(QWidget):
    """The curves of one run, and what it writes."""

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self.history = RunHistory()
        self._run: ShownRun | None = None
        self._has_begun = True
        self._axis = RunAxis()
        self._row: int | None = None
        self.marks = RunMarks(self.history, self._axis)
        self.loss = LossChart(theme)
        self.rate = SmallChart(theme, "Learning rate", "lr", numbers=False, tip=_RATE_TIP)
        self.gradient = SmallChart(
            theme, "Gradient norm", "grad_norm", form=".3f", noisy=True, numbers=False, tip=_GRADIENT_TIP
        )
        self.speed = SmallChart(theme, "Tokens/s", "tokens_per_s", words=_speed_words, noisy=True, tip=_SPEED_TIP)
        self.memory = SmallChart(
            theme, "Memory", "memory_bytes", words=_memory_words, scale=_memory_scale, sparse=True, tip=_MEMORY_TIP
        )
        self.layers = LayerHeat(theme)
        self.samples = SampleFeed(theme)
        self.charts: tuple[RunChart, ...] = (
            self.loss,
            self.rate,
            self.gradient,
            self.speed,
            self.memory,
            self.layers,
        )
        self._linked = LinkedCharts([chart.chart for chart in self.charts], self)
        self._picture = self._make_picture()
        self.place = ElidedLabel()
        self.place.setProperty("role", "caption")
        self.choices = CurveChoices(session)
        self.whole = button("Whole run", theme, self._linked.show_whole, icon="corners-out", tip=_WHOLE_TIP)
        self.whole.setEnabled(False)
        self.export = ExportButton(session.notices, theme, self._picture, self._numbers)
        self.rest_until, self._cpu_before, self._n_drawn = 0.0, 0.0, 0
        self._due = QTimer(self, singleShot=True)
        self._due.timeout.connect(self.refresh)
        self._painted = QTimer(self, singleShot=True, interval=0)  # Qt paints before timers that have no delay
        self._painted.timeout.connect(self._on_painted)
        self._build()
        self.choices.smoother.valueChanged.connect(self._on_smoothing)
        self.choices.log.toggled.connect(self.loss.set_log)
        self.choices.axes.currentIndexChanged.connect(self._on_axis)
        self._linked.zoomed.connect(self.whole.setEnabled)
        for chart in self.charts:
            chart.row_pointed.connect(self._on_pointed)
        theme.theme_changed.connect(self._restyle)
        self._restyle()
        self._on_smoothing()
        self.loss.set_log(self.choices.log.isChecked())

    def _build(self) -> None:
        bar = row(self.place, self.choices, self.whole, self.export, spacing=SPACE)
        bar.setStretch(0, 1)
        body = QSplitter(Qt.Orientation.Vertical)
        body.setChildrenCollapsible(False)
        body.addWidget(self._picture)
        body.addWidget(_card(self.samples))
        body.setStretchFactor(0, 3)
        body.setStretchFactor(1, 1)
        body.setSizes([480, 130])
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QScrollArea.Shape.NoFrame)
        body.setProperty("role", "scrolled")
        area.setWidget(body)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(SPACE)
        layout.addLayout(bar)
        layout.addWidget(area, 1)

    def _make_picture(self) -> QWidget:
        """All charts, side by side."""
        small = frame("card", margin=SPACE + SPACE // 2)
        grid = QGridLayout()
        grid.setHorizontalSpacing(2 * SPACE)
        grid.setVerticalSpacing(SPACE)
        for i, chart in enumerate((self.rate, self.gradient, self.speed, self.memory)):
            grid.addWidget(chart, i // 2, i % 2)
        grid.addWidget(self.layers, 2, 0, 1, 2)
        for line, stretch in enumerate((10, 12, 15)):
            grid.setRowStretch(line, stretch)
        for column in (0, 1):
            grid.setColumnStretch(column, 1)
        lines = small.layout()
        assert isinstance(lines, QVBoxLayout)
        lines.addLayout(grid)
        charts = QSplitter(Qt.Orientation.Horizontal)
        charts.setChildrenCollapsible(False)
        charts.addWidget(_card(self.loss))
        charts.addWidget(small)
        charts.setStretchFactor(0, 1)
        charts.setStretchFactor(1, 1)
        charts.setSizes([500, 500])
        return charts

    # -- What is shown ----------------------------------------------------------------------------------

    def show_run(self, run: ShownRun) -> None:
        """Show a run's curves."""
        self.history = run.history
        self.rest_until = 0.0
        self._on_pointed(None)
        self.export.name = f"{run.name or 'run'} curves"
        self._linked.show_whole()
        self._run = run
        self._show_loss()
        self.samples.show_history(run.history, run.spec)
        self._draw()

    def _show_loss(self) -> None:
        run = self._run
        assert run is not None
        self._has_begun = len(run.history.train) > 0
        self.loss.show_history(run.history, run.spec.n_choices if run.spec is not None else 0, measured_at_first(run))

    @Slot()
    def refresh(self) -> None:
        """Draw what has come since: at once, or when the training had its time since the last drawing."""
        rest = self.rest_until - time.perf_counter()
        if rest > 0:
            self._due.start(math.ceil(1000 * rest))
            return
        self._cpu_before, self._n_drawn = time.thread_time(), len(self.history.train)
        if len(self.history.train) and not self._has_begun:
            self._show_loss()  # only now its folder says what was measured at first
        self._draw()
        self.samples.refresh()
        self._painted.start()

    @Slot()
    def _on_painted(self) -> None:
        if self._n_drawn < 2:
            return  # what is being read from the folder is shown as soon as it is there
        took = time.thread_time() - self._cpu_before
        self.rest_until = time.perf_counter() + min(_REST * took, _LONGEST_REST_S)

    def _draw(self) -> None:
        self._axis = RunAxis.of(self.choices.axis, self.history.train)
        self.marks = RunMarks(self.history, self._axis)
        for chart in self.charts:
            chart.draw(self.history, self._axis)
            chart.chart.set_marks(self.marks.lines, self.marks.ticks if chart is self.loss else ())
        self.place.setText(self._words(self._row))

    @Slot()
    def _on_axis(self) -> None:
        self._linked.show_whole()
        self._draw()

    @Slot()
    def _on_smoothing(self) -> None:
        for chart in (self.loss, self.gradient, self.speed):
            chart.set_smoothing(self.choices.smoothing)

    @Slot()
    def _restyle(self) -> None:
        self._picture.setMinimumHeight(_CHARTS_HIGH * QFontMetrics(self._theme.font()).height())

    def _numbers(self) -> Callable[[], Columns]:
        columns = self.history.columns()  # now: it may grow while they are written
        return lambda: columns

    # -- The pointer ------------------------------------------------------------------------------------

    @Slot(object)
    def _on_pointed(self, row: int | None) -> None:
        """Read the same row in all charts."""
        self._row = row
        for chart in self.charts:
            if chart is not self.sender():
                chart.show_row(row)
        self.place.setText(self._words(row))

    def _words(self, row: int | None) -> str:
        train = self.history.train
        if not len(train):
            return ""
        at = len(train) - 1 if row is None else row
        words = f"{train['tokens'][at]:,.0f} tokens in {duration(float(train['elapsed_s'][at]))}"
        if row is None:
            return words
        chart = self.loss.chart
        (left, right), width = chart.getPlotItem().getViewBox().viewRange()[0], chart.width()
        x, near = float(self._axis.of_rows(train)[row]), _NEAR * (right - left) / max(width, 1)
        happened = self.marks.words_at(x - near, x + near)
        return f"{words} · {happened}" if happened else words


def _card(widget: QWidget) -> QWidget:
    card = frame("card", margin=SPACE + SPACE // 2)
    layout = card.layout()
    assert layout is not None
    layout.addWidget(widget)
    return card


def measured_at_first(run: ShownRun) -> Mapping[str, float]:
    """What a run's folder says that was measured when its training was set up."""
    if run.folder is not None:
        with contextlib.suppress(ValueError):
            return RunFolder.open(run.folder).measured
    return {}


def _speed_words(train: Table, row: int) -> str:
    share = float(train["peak_share"][row])
    words = words_of(float(train["tokens_per_s"][row]), ",.0f")
    return f"{words} · {percent(share)} of peak" if share == share else words


def _memory_words(train: Table, row: int) -> str:
    return size_words(float(train["memory_bytes"][row]))


def _memory_scale(most: float) -> tuple[float, str]:
    return size_unit(max(most, 2**20))


class LinkedCharts(QObject):
    """Whoever looks closer at one chart sees the same part of all.

    Signals:
        zoomed(bool): a part is shown, or everything again.
    """

    zoomed = Signal(bool)

    def __init__(self, charts: Iterable[Chart], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._charts = tuple(charts)
        for chart in self._charts:
            chart.window_moved.connect(partial(self._on_moved, chart))

    @Slot()
    def show_whole(self) -> None:
        """Show everything again, in all of them."""
        self._show(None, self._charts)

    def _on_moved(self, source: Chart, window: tuple[float, float] | None) -> None:
        self._show(window, [chart for chart in self._charts if chart is not source])

    def _show(self, window: tuple[float, float] | None, charts: Iterable[Chart]) -> None:
        for chart in charts:
            chart.show_window(window)
        self.zoomed.emit(window is not None)


class RunMarks:
    """The marks of a run along an axis: `lines` where its course may change, `ticks` where a checkpoint was saved."""

    def __init__(self, history: RunHistory, axis: RunAxis) -> None:
        marks = [mark for mark in history.marks if mark.event in _LINES or mark.event == _SAVED]
        places = axis.of_steps([mark.step for mark in marks], history.train).tolist()
        self._marks = list(zip(places, marks, strict=True))
        self.lines = [place for place, mark in self._marks if mark.event != _SAVED]
        self.ticks = [place for place, mark in self._marks if mark.event == _SAVED]

    def words_at(self, first: float, last: float) -> str:
        """What happened between two x."""
        words = [_words(mark) for place, mark in self._marks if first <= place <= last]
        return ", ".join(_without_repeats(words))


def _words(mark: Noted) -> str:
    if mark.event == _SAVED:
        return "checkpoint saved"
    detailed = mark.event in ("learning rate", "forked", "early stop")
    detail = mark.detail.removesuffix(" from here on") if detailed else ""  # the line says from where on
    return f"{_LINES[mark.event]} {detail}".rstrip()


def _without_repeats(words: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(words))
