"""The chart of a run's loss, with its controls."""

from __future__ import annotations

import math

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QSize, Qt, Slot
from PySide6.QtGui import QFontMetrics
from PySide6.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QSlider, QVBoxLayout, QWidget

from app.run_history import RunHistory, Table
from app.theme import SPACE, ThemeProvider
from app.widgets.basics import label
from app.widgets.chart import Chart, moving_average

X_AXES = ("step", "tokens", "elapsed_s")
_X_WORDS = {"step": "Steps", "tokens": "Tokens", "elapsed_s": "Time"}
_SLIDER_TOP = 100
_GAP = 6
"""Pixels between the end of a curve and its name."""


class LossChart(QWidget):
    """Training loss (thin), smoothed (thick), validation (dots), and the loss of a uniform guess."""

    def __init__(self, theme: ThemeProvider, *, controls: bool = True) -> None:
        super().__init__()
        self._theme = theme
        self._history = RunHistory()
        self._vocab_size = 0
        self._chart = Chart(theme, x="Steps")
        self._chart.setAccessibleName("Loss")
        self._raw = self._chart.curve()
        self._smooth = self._chart.curve(smooth=True)
        self._val = pg.PlotDataItem(antialias=True, pen=None, symbol="o", symbolSize=7)
        self._chart.addItem(self._val)
        self._guess = pg.InfiniteLine(angle=0, movable=False)
        self._guess_name = pg.TextItem(anchor=(1, 1))
        self._names = [pg.TextItem(anchor=(0, 0.5)), pg.TextItem(anchor=(0, 0.5))]
        self._cursor = pg.InfiniteLine(angle=90, movable=False)
        self._read_out = pg.TextItem()
        self._read_out.setZValue(10)
        self._nothing = pg.TextItem("The curve begins with the first steps.", anchor=(0.5, 0.5))
        for name in self._names:
            name.textItem.document().setDocumentMargin(1)
        for item in (self._guess, self._guess_name, *self._names, self._cursor, self._read_out, self._nothing):
            self._chart.addItem(item, ignoreBounds=True)
        self._show_cursor(False)
        self._ends = (math.nan, math.nan)
        self._x_axis = QComboBox()
        for axis in X_AXES:
            self._x_axis.addItem(_X_WORDS[axis], axis)
        self._x_axis.setAccessibleName("What runs along the chart")
        self._x_axis.setToolTip("What runs along the chart: steps, tokens seen, or training time")
        self._log = QCheckBox("Log scale")
        self._log.setToolTip("Draw the loss on a logarithmic axis, which shows late progress")
        self._smoothing = QSlider(Qt.Orientation.Horizontal)
        self._smoothing.setRange(0, _SLIDER_TOP)
        self._smoothing.setValue(40)
        self._smoothing.setFixedWidth(110)
        self._smoothing.setAccessibleName("Smoothing")
        self._smoothing.setToolTip("How strongly the thick line is smoothed: over up to a quarter of the run")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(SPACE // 2)
        layout.addLayout(self._head(controls))
        layout.addWidget(self._chart, 1)
        self._x_axis.currentIndexChanged.connect(self.refresh)
        self._log.toggled.connect(self._on_log)
        self._smoothing.valueChanged.connect(self.refresh)
        view = self._chart.getPlotItem().getViewBox()
        view.sigRangeChanged.connect(self._place_names)
        view.sigResized.connect(self._place_names)
        # Kept as a member: the proxy lives as long as the chart.
        self._mouse = pg.SignalProxy(self._chart.scene().sigMouseMoved, rateLimit=60, slot=self._on_mouse)
        theme.theme_changed.connect(self._restyle)
        self._restyle()
        self.refresh()

    def sizeHint(self) -> QSize:
        return QSize(560, 280)

    def show_history(self, history: RunHistory, vocab_size: int) -> None:
        """Draw another run. `vocab_size` (0 = unknown) places the line of a uniform guess."""
        self._history, self._vocab_size = history, vocab_size
        self._chart.show_whole()
        self.refresh()

    @Slot()
    def refresh(self) -> None:
        """Draw what the history holds now."""
        train, val = self._history.train, self._history.val
        axis = self._x_axis.currentData()
        unit, words_of_x = _x_unit(train, axis)
        self._chart.getPlotItem().setLabel("bottom", words_of_x)
        x, x_val = train[axis] / unit, val[axis] / unit
        smoothed = moving_average(train["loss"], self._smoothing.value() / _SLIDER_TOP)
        self._raw.setData(x, train["loss"])
        self._smooth.setData(x, smoothed)
        self._val.setData(x_val, val["loss"])
        anything = len(train) > 1
        self._chart.show_scales(anything)
        self._nothing.setVisible(not anything)
        self._ends = (_last(smoothed), _last(val["loss"]))
        guess = math.log(self._vocab_size) if self._vocab_size > 1 and anything else math.nan
        known = math.isfinite(guess)
        self._guess.setVisible(known)
        self._guess_name.setVisible(known)
        if known:
            self._guess.setValue(math.log10(guess) if self._log.isChecked() else guess)
            self._guess_name.setText(f"uniform guess: ln {self._vocab_size:,} = {guess:.2f}")
        self._val.setVisible(anything)
        if anything:
            right = max(_last(x), _last(x_val)) if len(x_val) else _last(x)
            top = np.concatenate((train["loss"], val["loss"], [guess]))
            self._chart.show_range((0.0, right or 1.0), self._heights(top, np.concatenate((smoothed, val["loss"]))))
        else:
            self._chart.show_range((0.0, 1.0), (0.0, 1.0))
        self._place_names()

    def _heights(self, all_values: NDArray[np.float64], main: NDArray[np.float64]) -> tuple[float, float]:
        """What to show upwards: from zero; on a logarithmic axis all of `main`, whatever the noise below it."""
        finite = all_values[np.isfinite(all_values)]
        top = float(finite.max()) if len(finite) else 1.0
        if not self._log.isChecked():
            return 0.0, top or 1.0
        lowest = float(min(main[np.isfinite(main) & (main > 0)], default=top / 10))
        return math.log10(lowest) - 0.1, math.log10(max(top, 2 * lowest))

    def _head(self, controls: bool) -> QHBoxLayout:
        layout = QHBoxLayout()
        layout.setSpacing(SPACE)
        layout.addWidget(label("Loss", "subheading"))
        layout.addWidget(label("nats per token", "caption"))
        layout.addStretch(1)
        if controls:
            layout.addWidget(label("Smoothing", "caption"))
            layout.addWidget(self._smoothing)
            layout.addSpacing(SPACE)
            layout.addWidget(self._log)
            layout.addSpacing(SPACE)
            layout.addWidget(self._x_axis)
        return layout

    @Slot()
    def _place_names(self) -> None:
        """Write each curve's name and last value beside its end, in the margin at the right, one clear of the other."""
        view = self._chart.getPlotItem().getViewBox()
        (left, right), (low, high) = view.viewRange()
        self._nothing.setPos((left + right) / 2, (low + high) / 2)
        per_pixel = (high - low) / max(view.height(), 1.0)
        right -= self._right_margin() * view.viewPixelSize()[0]
        self._guess_name.setPos(right, self._guess.value())
        right += _GAP * view.viewPixelSize()[0]
        places: dict[int, float] = {}
        for i, value in enumerate(self._ends):
            shown = math.isfinite(value) and (value > 0 or not self._log.isChecked()) and len(self._history.train) > 1
            self._names[i].setVisible(shown)
            if shown:
                self._names[i].setText(f"{('training', 'validation')[i]} {value:.3f}")
                places[i] = math.log10(value) if self._log.isChecked() else value
        apart = self._names[0].boundingRect().height() * per_pixel
        if len(places) == 2 and abs(places[0] - places[1]) < apart:
            middle = max(sum(places.values()) / 2, low + apart)
            upper = 0 if places[0] >= places[1] else 1
            places = {upper: middle + apart / 2, 1 - upper: middle - apart / 2}
        for i, place in places.items():
            self._names[i].setPos(right, max(place, low + apart / 2))

    def _right_margin(self) -> int:
        return QFontMetrics(self._theme.font(0.9, bold=True)).horizontalAdvance("validation 0.000") + _GAP + SPACE

    @Slot()
    def _restyle(self) -> None:
        theme, colors = self._theme, self._theme.theme
        self._raw.setPen(theme.pen("accent", alpha=0.35))
        self._smooth.setPen(theme.pen("accent", width=2))
        self._val.setSymbolPen(theme.pen("surface"))
        self._val.setSymbolBrush(colors.validation)
        self._guess.setPen(theme.pen("faint", style=Qt.PenStyle.DashLine))
        self._cursor.setPen(theme.pen("border_strong"))
        self._read_out.fill = pg.mkBrush(colors.color("raised", 0.94))
        self._read_out.border = theme.pen("border_strong")
        muted, text, bold = theme.font(0.9), theme.mono_font(0.9), theme.font(0.9, bold=True)
        for item, color, font in (
            (self._guess_name, colors.muted, muted),
            (self._nothing, colors.muted, muted),
            (self._read_out, colors.text, text),
            (self._names[0], colors.accent, bold),
            (self._names[1], colors.validation, bold),
        ):
            item.setColor(color)
            if item in self._names:
                item.fill = pg.mkBrush(colors.surface)  # a line behind would strike it through
            item.setFont(font)
        self._chart.set_margins(6, QFontMetrics(muted).height() + SPACE, self._right_margin())

    @Slot(bool)
    def _on_log(self, on: bool) -> None:
        self._chart.getPlotItem().setLogMode(y=on)
        self._chart.show_whole()
        self.refresh()

    def _show_cursor(self, shown: bool) -> None:
        self._cursor.setVisible(shown)
        self._read_out.setVisible(shown)

    def _on_mouse(self, args: tuple[QPointF]) -> None:
        view = self._chart.getPlotItem().getViewBox()
        train, axis = self._history.train, self._x_axis.currentData()
        inside = len(train) > 1 and view.sceneBoundingRect().contains(args[0])
        self._show_cursor(inside)
        if not inside:
            return
        unit, _ = _x_unit(train, axis)
        place = view.mapSceneToView(args[0])
        i = min(int(np.searchsorted(train[axis], place.x() * unit)), len(train) - 1)
        lines = [f"step       {train['step'][i]:,.0f}", f"training   {train['loss'][i]:.3f}"]
        if len(self._history.val):
            val = self._history.val
            near = max(0, int(np.searchsorted(val["step"], train["step"][i], side="right")) - 1)
            lines.append(f"validation {val['loss'][near]:.3f}")
            bits = val["bits_per_byte"][near]
            if math.isfinite(bits):  # see ValMetrics for where there are none
                lines.append(f"bits/byte  {bits:.3f}")
        x = train[axis][i] / unit
        (left, right), (low, high) = view.viewRange()
        self._cursor.setValue(x)
        self._read_out.setText("\n".join(lines))
        # Beside the line and the pointer, on the side with more room.
        self._read_out.setAnchor((0 if x < (left + right) / 2 else 1, 1 if place.y() < (low + high) / 2 else 0))
        self._read_out.setPos(x, place.y())


def _last(values: NDArray[np.float64]) -> float:
    """The last finite value, NaN where there is none."""
    known = values[np.isfinite(values)]
    return float(known[-1]) if len(known) else math.nan


def _x_unit(train: Table, axis: str) -> tuple[float, str]:
    """What an axis is divided by, and its label with the unit."""
    top = train[axis][-1] if len(train) else 0.0
    if axis == "step":
        return 1.0, "Steps"
    if axis == "tokens":
        return (1e6, "Tokens (millions)") if top >= 2e6 else (1e3, "Tokens (thousands)")
    return (60.0, "Training time (minutes)") if top >= 180 else (1.0, "Training time (seconds)")
