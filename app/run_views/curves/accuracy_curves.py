"""The chart of a run's accuracy on held-out questions, by kind of question, over its steps."""

from __future__ import annotations

import html

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QSize, Qt, Slot
from PySide6.QtGui import QFontMetrics

from terrarium.app.kit.basics import label, plain_tip
from terrarium.app.kit.plots.chart import Chart
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.run_views.curves.loss_chart import LossChart
from terrarium.app.run_views.curves.run_chart import Floats, RunChart
from terrarium.models.number_words import format_percent
from terrarium.models.tiny_world.question_words import kind_title
from terrarium.models.tiny_world.questions import KINDS

_GAP = 6
"""Pixels between the end of a curve and its name."""
_TIP = (
    "The share of right answers to a few questions of each kind that are not in the training data, always the same "
    "ones. The mean is that of facts, stories, reading and “What changed?”."
)


class AccuracyCurves(RunChart):
    """A curve for each kind of question, with its name at its end. Empty for a run without such questions.

    Args:
        loss: the chart above; both x axes are aligned.
    """

    def __init__(self, theme: ThemeProvider, loss: LossChart) -> None:
        title = label("Unseen questions", "subheading")
        title.setToolTip(plain_tip(_TIP))
        super().__init__(theme, Chart(theme), title, "% right")
        self._loss = loss
        self.setAccessibleName("Accuracy. Left and right read values, plus and minus zoom, Escape shows everything.")
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.read_out.setProperty("role", "small")
        self.chart.setAccessibleName("Accuracy by kind of question")
        self.lines: dict[str, pg.PlotDataItem] = {}
        self.names: dict[str, pg.TextItem] = {}
        for kind in KINDS:
            self.lines[kind] = pg.PlotDataItem(antialias=True, symbol="o", symbolSize=4)
            self.names[kind] = pg.TextItem(anchor=(0, 0.5))
            self.names[kind].textItem.document().setDocumentMargin(1)
            self.chart.addItem(self.lines[kind])
            self.chart.addItem(self.names[kind])
        self._ends: dict[str, float] = {}
        view = self.chart.getPlotItem().getViewBox()
        view.sigRangeChanged.connect(self._place_names)
        view.sigResized.connect(self._place_names)
        theme.theme_changed.connect(self._restyle)
        self._restyle()
        self.draw(self.history, self.axis)

    def sizeHint(self) -> QSize:
        return QSize(560, 160)

    def _draw(self) -> None:
        measured = self.history.accuracy
        x = self.axis.of_steps([each.step for each in measured], self.history.train)
        self._ends = {}
        for kind, line in self.lines.items():
            known = [
                (at, 100 * each.accuracy)
                for at, m in zip(x, measured, strict=True)
                for each in m.kinds
                if each.kind == kind
            ]
            points: Floats = np.array(known, np.float64).reshape(-1, 2)
            line.setData(points[:, 0], points[:, 1])
            if len(points):
                self._ends[kind] = float(points[-1, 1])
        above = QFontMetrics(self._theme.font(0.9)).height() // 2 + SPACE // 2
        self.chart.set_margins(6, above, self._loss.right_margin)
        self.chart.show_range((0.0, self._length()), (0.0, 100.0))
        self._place_names()

    @Slot()
    def _place_names(self) -> None:
        """Write each kind's name and last value beside the end of its curve, in the right margin, without overlap."""
        view = self.chart.getPlotItem().getViewBox()
        (_, right), (low, high) = view.viewRange()
        right -= (self._loss.right_margin - _GAP) * view.viewPixelSize()[0]
        apart = next(iter(self.names.values())).boundingRect().height() * (high - low) / max(view.height(), 1.0)
        at, above = dict[str, float](), high + apart / 2
        for kind in sorted(self._ends, key=lambda kind: -self._ends[kind]):
            at[kind] = above = min(self._ends[kind], above - apart)
        below = low - apart / 2  # names that were pushed out of the plot are pushed up again
        for kind in reversed(at):
            at[kind] = below = max(at[kind], below + apart)
        for kind, name in self.names.items():
            name.setVisible(kind in at)
            if kind in at:
                name.setPos(right, at[kind])

    def _read_out_text(self, row: int | None) -> str:
        measured = self.history.accuracy
        if not measured:
            return ""
        if row is not None:
            step = self.history.train["step"][row]
            measured = [each for each in measured if each.step <= step] or measured[:1]
        latest = measured[-1]
        n = min(kind.n for kind in latest.kinds)
        words = f"first four: {format_percent(latest.accuracy, 1)} at step {latest.step:,}"
        if row is None:
            return f"{words}, {n} of each"
        return f"{words}: " + ", ".join(f"{kind_title(kind.kind)} {100 * kind.accuracy:.0f}" for kind in latest.kinds)

    @Slot()
    def _restyle(self) -> None:
        theme, colors = self._theme, self._theme.theme
        line = QFontMetrics(theme.font(0.9)).height()
        self.chart.setMinimumHeight((len(KINDS) + 3) * line + SPACE)  # for all names, and the x axis below
        for kind, colour in zip(KINDS, colors.categories, strict=False):
            curve, name = self.lines[kind], self.names[kind]
            curve.setPen(pg.mkPen(colour, width=1.5))
            curve.setSymbolPen(None)
            curve.setSymbolBrush(colour)
            name.fill = pg.mkBrush(colors.surface)  # so that no line crosses it
            name.setFont(theme.font(0.85))
            words = html.escape(kind_title(kind))
            name.setHtml(f'<span style="color: {colour}">●</span> <span style="color: {colors.muted}">{words}</span>')
