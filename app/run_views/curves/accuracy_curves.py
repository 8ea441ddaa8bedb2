"""The chart of a run's accuracy on held-out questions, by kind of question, over its steps."""

from __future__ import annotations

import html

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QSize, Slot
from PySide6.QtGui import QFontMetrics

from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.plots.chart import Curve
from terrarium.app.plots.plot_spec import PlotSpec, Series
from terrarium.app.plots.series_items import LINE_STYLES
from terrarium.app.run_views.curves.loss_chart import LossChart
from terrarium.app.run_views.curves.run_chart import RunChart
from terrarium.models.number_words import format_percent
from terrarium.models.tiny_world.questions import KINDS, kind_title

_STYLES = tuple(LINE_STYLES)
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
        self._loss = loss
        self._ends: dict[str, float] = {}
        self.names = {kind: pg.TextItem(anchor=(0, 0.5)) for kind in KINDS}
        super().__init__(theme, "Unseen questions", tip=_TIP, unit="% right")
        self.set_name("Accuracy by kind of question")
        self.read_out.setProperty("role", "small")
        for name in self.names.values():
            name.textItem.document().setDocumentMargin(1)
            name.setZValue(80)
            self.chart.addItem(name)
        self.redraw()

    def sizeHint(self) -> QSize:
        return QSize(560, 160)

    @property
    def lines(self) -> dict[str, Curve]:
        """The curves by kind."""
        return {kind: item.line for kind, item in zip(KINDS, self.items, strict=True)}

    def _spec(self) -> PlotSpec:
        measured = self.history.accuracy
        x = self.axis.of_steps([each.step for each in measured], self.history.train)
        self._ends = {}
        series = []
        for i, kind in enumerate(KINDS):
            known = [
                (at, 100 * each.accuracy)
                for at, m in zip(x, measured, strict=True)
                for each in m.kinds
                if each.kind == kind
            ]
            points = np.array(known, np.float64).reshape(-1, 2)
            if len(points):
                self._ends[kind] = float(points[-1, 1])
            series.append(
                Series(
                    x=points[:, 0],
                    y=points[:, 1],
                    kind="joined",
                    name=kind_title(kind),
                    role=i,
                    style=_STYLES[i % len(_STYLES)],
                    width=1.5,
                    size=4,
                )
            )
        return PlotSpec(series=series, y_title="% right", x_range=(0.0, self._length()), y_range=(0.0, 100.0))

    def _free(self) -> tuple[int, int, int]:
        return 6, QFontMetrics(self._theme.font(0.9)).height() // 2 + SPACE // 2, self._loss.right_margin

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

    def restyle(self) -> None:
        super().restyle()
        theme, colors = self._theme, self._theme.theme
        line = QFontMetrics(theme.font(0.9)).height()
        self.set_least((len(KINDS) + 3) * line + SPACE)  # for all names, and the x axis below
        for kind, colour in zip(KINDS, colors.categories, strict=False):
            name = self.names[kind]
            name.fill = pg.mkBrush(colors.surface)  # so that no line crosses it
            name.setFont(theme.font(0.85))
            words = html.escape(kind_title(kind))
            name.setHtml(f'<span style="color: {colour}">●</span> <span style="color: {colors.muted}">{words}</span>')
