"""The loss curve of the whole run as a slider: a click or drag goes to the nearest recorded step."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QSize, Qt, Signal, Slot
from PySide6.QtGui import QFocusEvent, QKeyEvent, QMouseEvent, QPainterPath, QWheelEvent
from PySide6.QtWidgets import QWidget

from terrarium.app.kit.basics import plain_tip
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.plots.chart import Chart
from terrarium.app.plots.curve_points import SMOOTHING, moving_average
from terrarium.app.run_views.time_machine.snapshots import nearest
from terrarium.app.session.run_history import RunHistory

_RIGHT = 14  # pixels
_FAR = 10
_KEYS = {
    Qt.Key.Key_Left: -1,
    Qt.Key.Key_Down: -1,
    Qt.Key.Key_Right: 1,
    Qt.Key.Key_Up: 1,
    Qt.Key.Key_PageUp: -_FAR,
    Qt.Key.Key_PageDown: _FAR,
    Qt.Key.Key_Home: -(10**9),
    Qt.Key.Key_End: 10**9,
}


def stride_of(key: int) -> int:
    """Return by how many snapshots a key moves; 0 for other keys."""
    return _KEYS.get(Qt.Key(key), 0)


class Timeline(Chart):
    """The smoothed training loss, validation dots, a mark at each recorded step, and the playhead.

    Signals:
        index_requested(index): the user wants to go to the recorded step at this index.
    """

    index_requested = Signal(int)

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(theme, x="Steps", y="Loss, nats", margins=(8, 4, _RIGHT))
        self.setParent(parent)
        self._steps: Sequence[int] = ()
        self.step = 0
        """The step of the playhead."""
        self._at: NDArray[np.float64] = np.zeros(0)
        self._rows: NDArray[np.float64] = np.zeros(0)
        self._smooth: NDArray[np.float64] = np.zeros(0)
        self._line = self.curve(smooth=True)
        self._val = pg.PlotDataItem(antialias=True, pen=None, symbol="o", symbolSize=7)
        self._ticks = pg.ScatterPlotItem(symbol=_tick(), size=9)
        self._checkpoints = pg.ScatterPlotItem(symbol="d", size=10)
        self._playhead = pg.InfiniteLine(angle=90, movable=False)
        self._handle = pg.ScatterPlotItem(symbol="o", size=11)
        self.legend = pg.TextItem(anchor=(1, 0))
        for item in (self._val, self._ticks, self._checkpoints, self._playhead, self._handle, self.legend):
            self.addItem(item)
        self.legend.setZValue(10)
        self.getPlotItem().getViewBox().setMouseEnabled(x=False, y=False)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumHeight(88)
        self.setAccessibleName("Timeline of the run")
        self.setToolTip(
            plain_tip("Click or drag to go to a recorded step. Arrow keys go to the previous or next one; space plays.")
        )
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        view = self.getPlotItem().getViewBox()
        view.sigRangeChanged.connect(self._place_legend)
        view.sigResized.connect(self._place_legend)
        self._restyle()
        theme.theme_changed.connect(self._restyle)

    def sizeHint(self) -> QSize:
        return QSize(560, 120)

    def show_history(self, history: RunHistory) -> None:
        """Draw the curves."""
        self._at = history.train["step"].copy()
        self._rows = history.train["rows"].copy()
        self._smooth = moving_average(history.train["mean:loss"], SMOOTHING, self._rows)
        self._line.setData(self._at, self._smooth)
        known = np.isfinite(history.val["loss"])  # validations of an alignment run may have no loss
        self._val.setData(history.val["step"][known], history.val["loss"][known])
        self._fit_range(history)

    def show_marks(self, steps: Sequence[int], kept: frozenset[int]) -> None:
        """Mark the recorded steps, and those with a checkpoint on disk."""
        self._steps = steps
        low = self._whole[1][0]
        bare, full = [step for step in steps if step not in kept], [step for step in steps if step in kept]
        self._ticks.setData(x=bare, y=[low] * len(bare))
        self._checkpoints.setData(x=full, y=[low] * len(full))
        self._write_legend()

    def show_step(self, step: int) -> None:
        """Move the playhead to a step."""
        self.step = step
        self._playhead.setValue(step)
        loss = self.loss_at(step)
        self._handle.setData(x=[step] if math.isfinite(loss) else [], y=[loss] if math.isfinite(loss) else [])

    def loss_at(self, step: int) -> float:
        """Return the smoothed loss at a step, as drawn; NaN if no point covers the step."""
        i = int(np.searchsorted(self._at, step))
        is_of_point = i < len(self._at) and self._at[i] - step < self._rows[i]
        return float(self._smooth[i]) if is_of_point else math.nan

    # -- Input ---------------------------------------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self._go_to(event.position())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if event.buttons() & Qt.MouseButton.LeftButton:
            self._go_to(event.position())

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        event.accept()

    def mouseDoubleClickEvent(self, event: object) -> None:
        """Ignore the event: there is no zoom to reset."""

    def wheelEvent(self, event: QWheelEvent) -> None:
        event.ignore()

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        by_key = event.reason() in (Qt.FocusReason.TabFocusReason, Qt.FocusReason.BacktabFocusReason)
        self.getPlotItem().getViewBox().setBorder(self._theme.pen("accent") if by_key else None)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self.getPlotItem().getViewBox().setBorder(None)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        event.ignore()  # the time machine handles the keys, wherever the focus is

    def _go_to(self, point: QPointF) -> None:
        if self._steps:
            target = self.getPlotItem().getViewBox().mapSceneToView(self.mapToScene(point.toPoint()))
            self.index_requested.emit(nearest(self._steps, target.x()))

    # -- Drawing -------------------------------------------------------------------------------------------------------

    def _fit_range(self, history: RunHistory) -> None:
        values = np.concatenate((self._smooth, history.val["loss"]))
        values = values[np.isfinite(values)]
        low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
        margin = 0.12 * (high - low) or 0.1  # keeps the lowest point above the ticks
        ends = [column["step"][-1] for column in (history.train, history.val) if len(column)]
        ends += [sample.step for sample in history.samples[-1:]]
        self.show_scales(bool(len(self._at)))
        self.show_range((0.0, max([1.0, *ends])), (max(low - margin, 0.0), high + margin / 2))

    @Slot()
    def _place_legend(self) -> None:
        (_, right), (_, top) = self.getPlotItem().getViewBox().viewRange()
        # Keeps clear of the playhead at the last step.
        self.legend.setPos(right - (_RIGHT + 8) * self.getPlotItem().getViewBox().viewPixelSize()[0], top)

    def _write_legend(self) -> None:
        colors = self._theme.theme
        marks = [("━", colors.accent, "training loss"), ("●", colors.validation, "validation")]
        if len(self._ticks.data):
            marks.append(("│", colors.faint, "recorded step"))
        if len(self._checkpoints.data):
            marks.append(("◆", colors.info, "checkpoint on disk"))
        words = (f'<span style="color: {colour}">{mark}</span> {name}' for mark, colour, name in marks)
        self.legend.setHtml(f'<span style="color: {colors.muted}">{"&nbsp; &nbsp;".join(words)}</span>')

    @Slot()
    def _restyle(self) -> None:
        theme, colors = self._theme, self._theme.theme
        self._line.setPen(theme.pen("accent", width=2))
        self._val.setSymbolPen(theme.pen("surface"))
        self._val.setSymbolBrush(colors.validation)
        self._ticks.setPen(theme.pen("faint", width=1.5))
        self._checkpoints.setPen(theme.pen("surface"))
        self._checkpoints.setBrush(colors.info)
        self._playhead.setPen(theme.pen("text", width=1.5))
        self._handle.setPen(theme.pen("surface", width=1.5))
        self._handle.setBrush(colors.text)
        self._write_legend()
        self.legend.setFont(theme.font(0.85))
        self.legend.fill = pg.mkBrush(colors.color("surface", 0.85))


def _tick() -> QPainterPath:
    path = QPainterPath(QPointF(0, -0.5))
    path.lineTo(0, 0.5)
    return path
