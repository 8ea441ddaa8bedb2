"""The curves of a run: its loss, its task's metric, accuracy on held-out questions, learning rate, gradient norm,
speed, memory and layer updates."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from PySide6.QtCore import QObject, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QFontMetrics
from PySide6.QtWidgets import QGridLayout, QScrollArea, QSplitter, QVBoxLayout, QWidget

from terrarium.app.kit.basics import button, frame, row
from terrarium.app.kit.export_button import Columns, ExportButton
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.plots.linked_charts import LinkedCharts
from terrarium.app.run_views.curves.accuracy_curves import AccuracyCurves
from terrarium.app.run_views.curves.close_up import CloseUp
from terrarium.app.run_views.curves.curve_choices import CurveChoices
from terrarium.app.run_views.curves.layer_heat import LayerHeat
from terrarium.app.run_views.curves.loss_chart import LOSS, LossChart
from terrarium.app.run_views.curves.metric_chart import MetricChart
from terrarium.app.run_views.curves.run_axis import RunAxis, nearest_row
from terrarium.app.run_views.curves.run_chart import RunChart
from terrarium.app.run_views.curves.sample_feed import SampleFeed
from terrarium.app.run_views.curves.small_chart import SmallChart, format_number
from terrarium.app.run_views.shown_run import ShownRun
from terrarium.app.session.run_history import RunHistory
from terrarium.app.session.session import Session
from terrarium.models.evaluation.record import read_comparison
from terrarium.models.events import Noted, TextCompared
from terrarium.models.number_words import format_duration, format_percent, size_unit
from terrarium.models.runs.curve import Table
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.tasks import TASKS

_CHARTS_HIGH, _ACCURACY_HIGH = 20, 7
"""Minimum height of the charts in lines of text, and the additional height of the accuracy chart. If the samples do not
fit below, the view scrolls."""

_RATE_TIP = "The learning rate of each step. Dashed lines mark manual changes and resumes."
_GRADIENT_TIP = "The L2 norm of the gradient before clipping"
_SPEED_TIP = (
    "Tokens trained on per second. Share of peak: the estimated operations of a step, relative to the fastest "
    "matrix multiplication measured on this device"
)
_MEMORY_TIP = (
    "Memory in use on the device. On a CPU that of the whole program, with the window and the chat's model: "
    "more than the training memory that was proposed"
)
_REST = 40
"""Length of the pause after a redraw, as a multiple of its CPU time: about 2.5 % of the time goes to drawing."""
_LONGEST_REST_S = 2.0
"""Maximum length of the pause, in seconds: redraws of more than 50 ms take a larger share."""
_WHOLE_TIP = (
    "Show the whole run, like a double-click. The wheel zooms and dragging pans; over the left axis they do so "
    "vertically."
)
_NEAR = 4
"""Pixels within which the pointer hits a mark."""


_LINES = {
    "learning rate": "learning rate",
    "beta": "β",
    "resumed": "resumed",
    "forked": "forked",
    "early stop": "stopped early:",
    "failed": "failed",
}
_SAVED = "saved"


class CurvesView(QWidget):
    """The curves of one run, and its samples."""

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self.history = RunHistory()
        self._run: ShownRun | None = None
        self._has_begun = True
        self._axis = RunAxis()
        self._row: int | None = None
        self._step: float | None = None
        self.marks = RunMarks(self.history, self._axis)
        self.loss = LossChart(theme)
        self.metric_chart = MetricChart(theme, self.loss)
        self.accuracy = AccuracyCurves(theme, self.loss)
        self.rate = SmallChart(theme, "Learning rate", "lr", has_x=False, tip=_RATE_TIP)
        self.gradient = SmallChart(
            theme, "Gradient norm", "grad_norm", form=".3f", noisy=True, has_x=False, tip=_GRADIENT_TIP
        )
        self.speed = SmallChart(theme, "Tokens/s", "tokens_per_s", format_row=_format_speed, noisy=True, tip=_SPEED_TIP)
        self.memory = SmallChart(
            theme,
            "Memory in use",
            "memory_bytes",
            scale=_memory_scale,
            sparse=True,
            tip=_MEMORY_TIP,
        )
        self.layers = LayerHeat(theme)
        self.samples = SampleFeed(theme)
        self.charts: tuple[RunChart, ...] = (
            self.loss,
            self.metric_chart,
            self.accuracy,
            self.rate,
            self.gradient,
            self.speed,
            self.memory,
            self.layers,
        )
        self._linked = LinkedCharts([chart.chart for chart in self.charts], self)
        self._close_up = CloseUp(self)
        self._picture = self._make_picture()
        self.position = ElidedLabel()
        self.position.setProperty("role", "caption")
        self.choices = CurveChoices(session)
        self.whole = button("Whole run", theme, self._linked.show_whole, icon="corners-out", tip=_WHOLE_TIP)
        self._linked.enable_while_zoomed(self.whole)
        self.export = ExportButton(session.notices, theme, self._picture, self._numbers)
        self.pause = RedrawPause(self)
        self.pause.over.connect(self.refresh)
        self._build()
        self.accuracy.hide()
        self.choices.smoother.valueChanged.connect(self._on_smoothing)
        self.choices.log.toggled.connect(self.loss.set_log)
        self.loss.log_changed.connect(self.choices.log.setChecked)
        self.choices.axes.currentIndexChanged.connect(self._on_axis)
        self._linked.zoomed.connect(self._look_closer)
        self._close_up.taken.connect(self._draw)
        for chart in self.charts:
            chart.read.connect(self._on_pointed)
        theme.theme_changed.connect(self._restyle)
        self._restyle()
        self._on_smoothing()
        self.loss.set_log(self.choices.log.isChecked())

    def _build(self) -> None:
        bar = row(self.position, self.choices, self.whole, self.export, spacing=SPACE)
        bar.setStretch(0, 1)
        body = QSplitter(Qt.Orientation.Vertical)
        body.setChildrenCollapsible(False)
        body.addWidget(self._picture)
        body.addWidget(chart_card(self.samples))
        body.setStretchFactor(0, 3)
        body.setStretchFactor(1, 1)
        body.setSizes([480, 130])
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QScrollArea.Shape.NoFrame)
        area.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # clicks between the widgets do not take the focus
        area.setAccessibleName("Curves and samples")
        body.setProperty("role", "scrolled")
        area.setWidget(body)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(SPACE)
        layout.addLayout(bar)
        layout.addWidget(area, 1)

    def _make_picture(self) -> QWidget:
        """Build all charts, side by side: the part of the view that is exported as a picture."""
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
        charts.addWidget(chart_card(self.loss, self.metric_chart, self.accuracy))
        charts.addWidget(small)
        charts.setStretchFactor(0, 1)
        charts.setStretchFactor(1, 1)
        charts.setSizes([500, 500])
        return charts

    # -- Content ----------------------------------------------------------------------------------------

    def show_run(self, run: ShownRun) -> None:
        """Show a run's curves."""
        self.history = run.history
        self.pause.skip()
        self._on_pointed(None)
        self.export.name = f"{run.name or 'run'} curves"
        self._linked.show_whole()
        self._run = run
        self._close_up.show_run(run.history, run.folder)
        self._show_loss()
        self.layers.set_train(None if run.spec is None else run.spec.train)
        self.samples.show_history(run.history, run.spec)
        self._draw()

    def _show_loss(self) -> None:
        run = self._run
        assert run is not None
        self._has_begun = len(run.history.train) > 0
        n_classes, noun, unit, spec = 0, "token", LOSS.unit, run.spec
        if spec is not None and spec.align is not None:  # its loss is not a cross-entropy over tokens
            self.loss.show_history(run.history, 0, unit="")
            self.loss.show_tables(None)
            return
        if spec is not None:
            n_classes, noun = spec.n_classes, "label" if spec.model.head in ("sequence", "token") else "token"
            unit = TASKS[spec.data.task].loss_unit
        self.loss.show_history(run.history, n_classes, initial_measurements(run), noun, unit)
        self.loss.show_tables(_stored_comparison(run))

    @Slot()
    def refresh(self) -> None:
        """Redraw now, or after the pause that leaves the training enough time."""
        if not self.pause.begin_redraw():
            return
        if len(self.history.train) and not self._has_begun:
            self._show_loss()  # the numbers measured at set-up are in its folder now
        self._draw()
        self.samples.refresh()
        if len(self.history.train) > 1:  # no pause while a run is still being read from its folder
            self.pause.end_redraw()

    @Slot()
    def _look_closer(self) -> None:
        window, train = self.loss.chart.window, self.history.train
        if window is not None and len(train):
            first, last = np.interp(window, self._axis.of_rows(train), train["step"])
            self._close_up.look_at(float(first), float(last))

    @Slot()
    def _draw(self) -> None:
        self._axis = RunAxis.of(self.choices.axis, self.history.train)
        self.marks = RunMarks(self.history, self._axis)
        self.metric_chart.setVisible(bool(self.history.metric))
        if self.accuracy.isHidden() == bool(self.history.accuracy):
            self.accuracy.setVisible(bool(self.history.accuracy))
            self._restyle()
        for chart in self.charts:
            chart.draw(self.history, self._axis, self.marks.lines, self.marks.ticks if chart is self.loss else ())
        row = None if self._step is None else nearest_row(self.history.train["step"], self._step)
        if row != self._row:  # points before it were inserted or thinned out
            self._row = row
            for chart in self.charts:
                chart.show_point(row)
        self.position.setText(self._position_text(self._row))
        self._look_closer()

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
        lines = _CHARTS_HIGH + (0 if self.accuracy.isHidden() else _ACCURACY_HIGH)
        self._picture.setMinimumHeight(lines * QFontMetrics(self._theme.font()).height())

    def _numbers(self) -> Callable[[], Columns]:
        if self.history.train.is_whole or self._run is None or self._run.folder is None:
            columns = self.history.columns()  # copied, since the run may grow during the export
            return lambda: columns
        folder = self._run.folder
        return lambda: RunHistory.read(RunFolder.open(folder), is_whole=True).columns()

    # -- The pointer ------------------------------------------------------------------------------------

    @Slot(object)
    def _on_pointed(self, row: int | None) -> None:
        """Show the values of a row in all charts."""
        self._row = row
        self._step = None if row is None else float(self.history.train["step"][row])
        for chart in self.charts:
            if chart is not self.sender():
                chart.show_point(row)
        self.position.setText(self._position_text(row))

    def _position_text(self, row: int | None) -> str:
        train = self.history.train
        if not len(train):
            return ""
        at = len(train) - 1 if row is None else row
        seconds = self.history.elapsed_s if row is None else float(train["elapsed_s"][at])
        words = f"{train['tokens'][at]:,.0f} tokens in {format_duration(seconds)}"
        if row is None:
            return words
        chart = self.loss.chart
        (left, right), width = chart.getPlotItem().getViewBox().viewRange()[0], chart.width()
        x, near = float(self._axis.of_rows(train)[row]), _NEAR * (right - left) / max(width, 1)
        happened = self.marks.describe(x - near, x + near)
        return f"{words} · {happened}" if happened else words


def chart_card(*widgets: QWidget) -> QWidget:
    """Return a card with the widgets below one another; the first has 1.5 times the stretch of the others."""
    card = frame("card", margin=SPACE + SPACE // 2)
    layout = card.layout()
    assert isinstance(layout, QVBoxLayout)
    for i, widget in enumerate(widgets):
        layout.addWidget(widget, 2 if i else 3)
    return card


def initial_measurements(run: ShownRun) -> Mapping[str, float]:
    """Return the numbers recorded when the run's training was set up, empty if unreadable."""
    if run.folder is not None:
        with contextlib.suppress(ValueError):
            return RunFolder.open(run.folder).measured
    return {}


def _stored_comparison(run: ShownRun) -> TextCompared | None:
    """Return the bits per byte of gzip and n-gram tables on the run's held-out text, or None if not measured."""
    if run.folder is not None:
        with contextlib.suppress(ValueError):
            return read_comparison(run.folder)
    return None


def _format_speed(train: Table, row: int) -> str:
    """Format the speed of a step, with its share of the measured peak.

    A share above 1 is left out: other programs were busy when the peak was measured, so it was too low.
    """
    share = float(train["peak_share"][row])
    words = format_number(float(train["tokens_per_s"][row]), ",.0f")
    return f"{words} · {format_percent(share)} of peak" if share <= 1 else words


def _memory_scale(most: float) -> tuple[float, str]:
    return size_unit(max(most, 2**20))


class RedrawPause(QObject):
    """Enforces a pause after each redraw of a live run, so that drawing does not slow its training down.

    Signals:
        over(): the pause has ended, and a redraw was requested during it.
    """

    over = Signal()

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.until = 0.0
        """The end of the pause, in seconds of time.perf_counter."""
        self._cpu_before = 0.0
        self._due = QTimer(self, singleShot=True)
        self._due.timeout.connect(self.over)
        self._painted = QTimer(self, singleShot=True, interval=0)  # Qt paints before timers that have no delay
        self._painted.timeout.connect(self._on_painted)

    def skip(self) -> None:
        """End the pause, so that the next redraw begins immediately."""
        self.until = 0.0

    def begin_redraw(self) -> bool:
        """Start timing a redraw and return True; during the pause, return False and emit `over` at its end."""
        rest = self.until - time.perf_counter()
        if rest > 0:
            self._due.start(math.ceil(1000 * rest))
            return False
        self._cpu_before = time.thread_time()
        return True

    def end_redraw(self) -> None:
        """Begin the pause, once Qt has painted what was drawn."""
        self._painted.start()

    @Slot()
    def _on_painted(self) -> None:
        took = time.thread_time() - self._cpu_before
        self.until = time.perf_counter() + min(_REST * took, _LONGEST_REST_S)


class RunMarks:
    """The marks of a run along an axis: `lines` at resumes, forks, learning-rate changes …, `ticks` at checkpoints."""

    def __init__(self, history: RunHistory, axis: RunAxis) -> None:
        marks = [mark for mark in history.marks if mark.event in _LINES or mark.event == _SAVED]
        positions = axis.of_steps([mark.step for mark in marks], history.train).tolist()
        self._marks = list(zip(positions, marks, strict=True))
        self.lines = [position for position, mark in self._marks if mark.event != _SAVED]
        self.ticks = [position for position, mark in self._marks if mark.event == _SAVED]

    def describe(self, first: float, last: float) -> str:
        """Describe the marks between two x values."""
        words = [_describe_mark(mark) for position, mark in self._marks if first <= position <= last]
        return ", ".join(_without_repeats(words))


def _describe_mark(mark: Noted) -> str:
    if mark.event == _SAVED:
        return "checkpoint saved"
    detailed = mark.event in ("learning rate", "beta", "forked", "early stop")
    detail = mark.detail.removesuffix(" from here on") if detailed else ""  # redundant with the mark's position
    return f"{_LINES[mark.event]} {detail}".rstrip()


def _without_repeats(words: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(words))
