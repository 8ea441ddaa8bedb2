"""Charts of a run: the loss with its controls, and the small ones beside it."""

from __future__ import annotations

import math

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QSize, Qt, Slot
from PySide6.QtGui import QFontMetrics
from PySide6.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QSlider, QVBoxLayout, QWidget

from app.run_history import RunHistory, Table, smooth
from app.theme import SPACE, ThemeProvider
from app.widgets.basics import label

X_AXES = ("step", "tokens", "elapsed_s")
_X_WORDS = {"step": "Steps", "tokens": "Tokens", "elapsed_s": "Time"}
_SLIDER_TOP = 100


class NumberAxis(pg.AxisItem):  # type: ignore[misc]
    """An axis that writes plain numbers: 1,000 and 0.003, never 1e+03 or a bare «k»."""

    def __init__(self, side: str) -> None:
        super().__init__(side)
        self.enableAutoSIPrefix(False)

    def tickStrings(self, values: list[float], scale: float, spacing: float) -> list[str]:
        if self.logMode:
            return [f"{10**value:.3g}" for value in values]
        digits = 0 if spacing >= 1 else math.ceil(-math.log10(spacing) - 1e-9)
        form = f",.{digits}f" if digits < 6 else ".1g"
        # What is drawn here is never below zero: there is only room for what is written beside lines.
        return ["" if value < 0 else format(value, form) for value in values]


class Chart(pg.PlotWidget):  # type: ignore[misc]
    """A chart in the theme's style, without frame or menus. Double-click shows everything again."""

    def __init__(self, theme: ThemeProvider, *, x: str = "", y: str = "") -> None:
        super().__init__(axisItems={"left": NumberAxis("left"), "bottom": NumberAxis("bottom")})
        self._theme = theme
        self.setMenuEnabled(False)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        plot = self.getPlotItem()
        self._has_label = bool(y)
        if x:
            plot.setLabel("bottom", x)
        if y:
            plot.setLabel("left", y)
        plot.getViewBox().setDefaultPadding(0.06)  # room for what is written at the ends of lines
        self.restyle()
        theme.theme_changed.connect(self.restyle)

    @Slot()
    def restyle(self) -> None:
        """Take the theme's colours."""
        self._theme.style_plot(self.getPlotItem())
        # As wide as any number will be, so that nothing moves when the numbers grow.
        width = QFontMetrics(self._theme.font(0.9)).horizontalAdvance("88,888")
        self.getPlotItem().getAxis("left").setWidth(width + (2 * self._has_label + 1) * SPACE)

    def mouseDoubleClickEvent(self, event: object) -> None:
        self.getPlotItem().enableAutoRange()

    def show_scales(self, shown: bool) -> None:
        """Write numbers along the axes, or not, where there is nothing to measure yet."""
        for side in ("left", "bottom"):
            self.getPlotItem().getAxis(side).setStyle(showValues=shown)

    def curve(self, *, smooth: bool = False) -> pg.PlotDataItem:
        """A line that stays fast with 100,000 points: never more of them than pixels.

        `smooth` draws fine edges, and leaves points out: for lines without noise, since with it that is slow and wrong.
        """
        line = pg.PlotDataItem(antialias=smooth, connect="finite", autoDownsampleFactor=1.0)
        line.setDownsampling(auto=True, method="subsample" if smooth else "peak")
        line.setClipToView(True)
        self.addItem(line)
        return line


class LossChart(QWidget):
    """Training loss (thin), smoothed (thick), validation (dots), and the loss of a uniform guess."""

    def __init__(self, theme: ThemeProvider, *, controls: bool = True) -> None:
        super().__init__()
        self._theme = theme
        self._history = RunHistory()
        self._vocab_size = 0
        self._chart = Chart(theme, x="Steps", y="Loss (nats per token)")
        self._chart.setAccessibleName("Loss")
        self._raw = self._chart.curve()
        self._smooth = self._chart.curve(smooth=True)
        self._val = pg.PlotDataItem(antialias=True, symbol="o", symbolSize=7, connect="finite")
        self._chart.addItem(self._val)
        self._guess = pg.InfiniteLine(angle=0, movable=False)
        self._guess.label = pg.InfLineLabel(self._guess, "", position=0.98, anchors=[(1, 0), (1, 0)])
        self._chart.addItem(self._guess, ignoreBounds=True)
        self._names = [pg.TextItem(anchor=(1, 1)), pg.TextItem(anchor=(1, 0))]
        for name in self._names:
            self._chart.addItem(name, ignoreBounds=True)
        self._cursor = pg.InfiniteLine(angle=90, movable=False)
        self._cursor.hide()
        self._chart.addItem(self._cursor, ignoreBounds=True)
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
        self._smoothing.setToolTip("How strongly the thick line is smoothed")
        self._read_out = label("", "mono-small")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(SPACE // 2)
        if controls:
            layout.addLayout(self._control_row())
        layout.addWidget(self._chart, 1)
        self._x_axis.currentIndexChanged.connect(self.refresh)
        self._log.toggled.connect(self._on_log)
        self._smoothing.valueChanged.connect(self.refresh)
        # Kept as a member: the proxy lives as long as the chart.
        self._mouse = pg.SignalProxy(self._chart.scene().sigMouseMoved, rateLimit=60, slot=self._on_mouse)
        theme.theme_changed.connect(self._restyle)
        self._restyle()

    def sizeHint(self) -> QSize:
        return QSize(560, 280)

    def show_history(self, history: RunHistory, vocab_size: int) -> None:
        """Draw another run. `vocab_size` (0 = unknown) places the line of a uniform guess."""
        self._history, self._vocab_size = history, vocab_size
        self._chart.getPlotItem().enableAutoRange()
        self.refresh()

    @Slot()
    def refresh(self) -> None:
        """Draw what the history holds now."""
        train, val = self._history.train, self._history.val
        axis = self._x_axis.currentData()
        unit, words_of_x = _x_unit(train, axis)
        self._chart.getPlotItem().setLabel("bottom", words_of_x)
        x, x_val = train[axis] / unit, val[axis] / unit
        strength = 0.0 if self._smoothing.value() == 0 else 1 - 10 ** (-3 * self._smoothing.value() / _SLIDER_TOP)
        smoothed = smooth(train["loss"], min(strength, 0.999))
        self._raw.setData(x, train["loss"])
        self._smooth.setData(x, smoothed)
        self._val.setData(x_val, val["loss"])
        self._name(0, "training", x, smoothed)
        self._name(1, "validation", x_val, val["loss"])
        self._chart.show_scales(len(train) > 1)
        shown = self._vocab_size > 1 and len(train) > 0
        self._guess.setVisible(shown)
        if shown:
            guess = math.log(self._vocab_size)
            self._guess.setValue(math.log10(guess) if self._log.isChecked() else guess)
            self._guess.label.setFormat(f"uniform guess: ln {self._vocab_size:,} = {guess:.2f}")

    def _control_row(self) -> QHBoxLayout:
        layout = QHBoxLayout()
        layout.setSpacing(SPACE)
        layout.addWidget(label("Loss", "subheading"))
        layout.addSpacing(SPACE)
        layout.addWidget(self._read_out, 1)
        layout.addWidget(label("Smoothing", "caption"))
        layout.addWidget(self._smoothing)
        layout.addSpacing(SPACE)
        layout.addWidget(self._log)
        layout.addSpacing(SPACE)
        layout.addWidget(self._x_axis)
        return layout

    def _name(self, which: int, text: str, x: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        """Write a curve's name at its end."""
        item, known = self._names[which], np.flatnonzero(np.isfinite(y))
        item.setVisible(len(known) > 0 and len(self._history.train) > 1)
        if len(known):
            last = known[-1]
            height = math.log10(y[last]) if self._log.isChecked() and y[last] > 0 else y[last]
            item.setText(text)
            item.setPos(x[last], height)

    @Slot()
    def _restyle(self) -> None:
        theme, colors = self._theme, self._theme.theme
        self._raw.setPen(theme.pen("accent", alpha=0.35))
        self._smooth.setPen(theme.pen("accent", width=2))
        self._val.setPen(theme.pen("validation", alpha=0.5))
        self._val.setSymbolPen(theme.pen("surface"))
        self._val.setSymbolBrush(colors.validation)
        self._guess.setPen(theme.pen("faint", style=Qt.PenStyle.DashLine))
        self._guess.label.setColor(colors.muted)
        self._guess.label.setFont(theme.font(0.9))
        self._cursor.setPen(theme.pen("border_strong"))
        for item, color in zip(self._names, (colors.accent, colors.validation), strict=True):
            item.setColor(color)
            item.setFont(theme.font(0.9, bold=True))

    @Slot(bool)
    def _on_log(self, on: bool) -> None:
        self._chart.getPlotItem().setLogMode(y=on)
        self.refresh()
        self._chart.getPlotItem().enableAutoRange()

    def _on_mouse(self, args: tuple[QPointF]) -> None:
        view = self._chart.getPlotItem().getViewBox()
        train, axis = self._history.train, self._x_axis.currentData()
        inside = len(train) > 0 and view.sceneBoundingRect().contains(args[0])
        self._cursor.setVisible(inside)
        if not inside:
            self._read_out.setText("")
            return
        unit, _ = _x_unit(train, axis)
        wanted = view.mapSceneToView(args[0]).x() * unit
        i = min(int(np.searchsorted(train[axis], wanted)), len(train) - 1)
        self._cursor.setValue(train[axis][i] / unit)
        words_of_val = ""
        if len(self._history.val):
            val = self._history.val
            near = max(0, int(np.searchsorted(val["step"], train["step"][i], side="right")) - 1)
            words_of_val = f"   validation {val['loss'][near]:.3f} ({val['bits_per_byte'][near]:.3f} bits/byte)"
        self._read_out.setText(f"step {train['step'][i]:,.0f}   training {train['loss'][i]:.3f}{words_of_val}")


class SmallChart(QWidget):
    """One quantity of a run over its steps, with its name, unit and latest value above.

    Args:
        column: of RunHistory.train.
        form: how the latest value is written, for `format`.
        steps: whether the steps are written along the chart; of charts above each other, only the last needs that.
    """

    def __init__(
        self, theme: ThemeProvider, title: str, column: str, unit: str, form: str, *, steps: bool = False
    ) -> None:
        super().__init__()
        self._column, self._form = column, form
        self._theme = theme
        self._history = RunHistory()
        self._chart = Chart(theme)
        self._chart.setAccessibleName(title)
        self._chart.setMinimumHeight(60 if steps else 40)
        self._steps = steps
        if not steps:
            self._chart.getPlotItem().getAxis("bottom").setHeight(6)
        self._line = self._chart.curve()
        self._value = label("", "mono")
        head = QHBoxLayout()
        head.addWidget(label(title, "subheading"))
        head.addStretch(1)
        head.addWidget(self._value)
        if unit:
            head.addWidget(label(unit, "caption"))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(SPACE // 2)
        layout.addLayout(head)
        layout.addWidget(self._chart, 1)
        theme.theme_changed.connect(self._restyle)
        self._restyle()

    def sizeHint(self) -> QSize:
        return QSize(240, 130)

    def show_history(self, history: RunHistory) -> None:
        """Draw another run."""
        self._history = history
        self._chart.getPlotItem().enableAutoRange()
        self.refresh()

    def refresh(self) -> None:
        """Draw what the history holds now."""
        train = self._history.train
        self._chart.show_scales(len(train) > 1)
        if not self._steps:
            self._chart.getPlotItem().getAxis("bottom").setStyle(showValues=False)
        self._line.setData(train["step"], train[self._column])
        self._value.setText(words_of(train[self._column][-1], self._form) if len(train) else "–")

    @Slot()
    def _restyle(self) -> None:
        self._line.setPen(self._theme.pen("info"))


def words_of(value: float, form: str) -> str:
    """A number in a format, «–» where it is not finite."""
    return format(value, form) if math.isfinite(value) else "–"


def _x_unit(train: Table, axis: str) -> tuple[float, str]:
    """What an axis is divided by, and its label with the unit."""
    top = train[axis][-1] if len(train) else 0.0
    if axis == "step":
        return 1.0, "Steps"
    if axis == "tokens":
        return (1e6, "Tokens (millions)") if top >= 2e6 else (1e3, "Tokens (thousands)")
    return (60.0, "Training time (minutes)") if top >= 180 else (1.0, "Training time (seconds)")
