"""A small chart of one quantity of a run."""

from __future__ import annotations

import math

import numpy as np
from PySide6.QtCore import QSize, Slot
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from app.run_history import RunHistory
from app.theme import SPACE, ThemeProvider
from app.widgets.basics import label
from app.widgets.chart import Chart, moving_average

_SMOOTHING = 0.4


class SmallChart(QWidget):
    """One quantity of a run over its steps, with its name, unit and latest value above.

    Args:
        column: of RunHistory.train.
        form: how the latest value is written, for `format`.
        noisy: drawn thin, with a smoothed line over it.
        steps: whether the steps are written along the chart; of charts above each other, only the last needs that.
    """

    def __init__(
        self,
        theme: ThemeProvider,
        title: str,
        column: str,
        unit: str,
        form: str,
        *,
        noisy: bool = False,
        steps: bool = False,
    ) -> None:
        super().__init__()
        self._column, self._form = column, form
        self._theme = theme
        self._history = RunHistory()
        self._chart = Chart(theme)
        self._chart.setAccessibleName(title)
        self._chart.setMinimumHeight(60 if steps else 40)
        if not steps:
            self._chart.getPlotItem().getAxis("bottom").setHeight(6)
            self._chart.getPlotItem().getAxis("bottom").setStyle(showValues=False)
        self._line = self._chart.curve()
        self._smooth = self._chart.curve(smooth=True) if noisy else None
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
        self.refresh()

    def sizeHint(self) -> QSize:
        return QSize(240, 130)

    def show_history(self, history: RunHistory) -> None:
        """Draw another run."""
        self._history = history
        self._chart.show_whole()
        self.refresh()

    def refresh(self) -> None:
        """Draw what the history holds now."""
        train = self._history.train
        values, steps = train[self._column], train["step"]
        self._chart.show_scales(len(train) > 1)
        self._line.setData(steps, values)
        if self._smooth is not None:
            self._smooth.setData(steps, moving_average(values, _SMOOTHING))
        finite = values[np.isfinite(values)]
        if len(finite):
            self._chart.show_range((0.0, float(steps[-1]) or 1.0), (0.0, float(finite.max()) or 1.0))
        self._value.setText(words_of(values[-1], self._form) if len(train) else "–")

    @Slot()
    def _restyle(self) -> None:
        self._line.setPen(self._theme.pen("info", alpha=1.0 if self._smooth is None else 0.35))
        if self._smooth is not None:
            self._smooth.setPen(self._theme.pen("info", width=1.5))


def words_of(value: float, form: str) -> str:
    """A number in a format, «–» where it is not finite."""
    return format(value, form) if math.isfinite(value) else "–"
