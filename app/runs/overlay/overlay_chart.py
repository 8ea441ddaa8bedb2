"""A chart with the lines of many runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import QRectF, Qt, Slot
from PySide6.QtGui import QColor, QFontMetrics, QPainter, QPainterPath, QPen
from PySide6.QtWidgets import QStyleOptionGraphicsItem, QWidget

from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.plots.chart import Chart
from terrarium.app.plots.plot_spec import PlotSpec, Series, short_number
from terrarium.app.plots.plot_view import PlotView
from terrarium.app.runs.overlay.overlay_legend import Stroke
from terrarium.app.runs.overlay.overlay_lines import RunLine, coincident_lines

_NAMED = 12
"""Up to this many runs are labelled at the ends of their lines."""
_RAW_OF = 6
"""Up to this many runs also show all points behind the smoothed line; more would be illegible."""
_DASH = 7
"""Dash length of coinciding lines, in line widths."""
_NAME_ROOM = 150  # pixels
_MARGINS = (6, 8, 6)


@dataclass(frozen=True, eq=False)
class Drawing:
    """Lines by run id, prepared for drawing: their paths, and x and y of all drawn points, concatenated.

    `dash_turns`: for each of coinciding lines, its index in its group, and the size of the group.
    """

    lines: Mapping[str, RunLine]
    raw: Mapping[str, QPainterPath]
    smooth: Mapping[str, QPainterPath]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    dash_turns: Mapping[str, tuple[int, int]]

    @classmethod
    def of(cls, lines: Mapping[str, RunLine]) -> Drawing:
        """Prepare lines for drawing; may run on any thread."""
        smoothed = {run_id: line for run_id, line in lines.items() if line.smooth is not line.raw}
        raw = smoothed if len(lines) <= _RAW_OF else {}
        drawn = [*(line.raw for line in raw.values()), *(line.smooth for line in lines.values())]
        x = np.concatenate([xs for xs, _ in drawn]) if drawn else np.empty(0)
        y = np.concatenate([values for _, values in drawn]) if drawn else np.empty(0)
        known = np.isfinite(y)
        return cls(
            lines,
            {run_id: path_of(*line.raw) for run_id, line in raw.items()},
            {run_id: path_of(*line.smooth) for run_id, line in lines.items()},
            x[known],
            y[known],
            coincident_lines(lines) if len(lines) <= _NAMED else {},
        )


class OverlayChart(Chart):
    """Draws a smoothed line per run; for few runs also the raw line behind it, and a label at its end."""

    def __init__(self, theme: ThemeProvider) -> None:
        super().__init__(theme, x="Steps", margins=_MARGINS)
        self.setMinimumSize(320, 180)
        self._bundle = LineBundle()
        self.addItem(self._bundle)
        self.drawing = Drawing.of({})
        self._names: dict[str, pg.TextItem] = {}
        self._named: dict[str, str] = {}
        self._strokes: dict[str, Stroke] = {}
        self._pointed_run, self._is_smooth = "", False
        self.name_room = _MARGINS[2]
        """Pixels at the right, for the labels."""
        self.getPlotItem().getViewBox().sigRangeChanged.connect(self._place_names)

    def show_drawing(self, drawing: Drawing, strokes: Mapping[str, Stroke], names: Mapping[str, str]) -> None:
        """Draw these lines instead of the current ones."""
        lines = drawing.lines
        self.drawing, self._strokes = drawing, dict(strokes)
        self._is_smooth = any(line.smooth is not line.raw for line in lines.values())
        wanted = {run_id: names[run_id] for run_id in lines} if len(lines) <= _NAMED else {}
        if wanted != self._named:
            self._named = wanted
            self._set_names(wanted)
        self._dress()
        self._place_names()

    @property
    def lines(self) -> Mapping[str, RunLine]:
        """The drawn lines by run id."""
        return self.drawing.lines

    @property
    def draws_points(self) -> bool:
        """Whether all points are drawn behind the smoothed lines."""
        return bool(self.drawing.raw)

    @property
    def draws_alternating(self) -> bool:
        """Whether there are coinciding lines, drawn in alternating dashes."""
        return bool(self.drawing.dash_turns)

    def point_out(self, run_id: str) -> None:
        """Highlight one run; '' for none."""
        if run_id != self._pointed_run:
            self._pointed_run = run_id
            self._dress()

    def heights(self, first: float, last: float) -> tuple[float, float]:
        """Return the y range of the lines between two x values."""
        drawing = self.drawing
        seen = drawing.y[(drawing.x >= first) & (drawing.x <= last)]
        if not len(seen):
            return 0.0, 1.0
        low, high = float(seen.min()), float(seen.max())
        margin = (high - low) * 0.04 or abs(high) * 0.1 or 1.0
        return low - margin, high + margin

    def values_at(self, x: float) -> dict[str, float]:
        """Return the value of each line at x: that of its first drawn point at or after x."""
        values = {}
        for run_id, line in self.lines.items():
            xs, ys = line.smooth
            if len(xs) and xs[0] <= x <= line.end[0]:
                i = min(int(np.searchsorted(xs, x)), len(xs) - 1)
                values[run_id] = float(ys[i])
        return values

    @Slot()
    def restyle(self) -> None:
        super().restyle()
        if hasattr(self, "drawing"):  # the base class restyles itself before there are lines
            self._set_names(self._named)  # the font size may have changed, and with it their widths
            self._dress()
            self._place_names()

    def _dress(self) -> None:
        # Noisy lines are slow to draw wide and antialiased.
        few = len(self.lines) <= _NAMED and self._is_smooth
        raw, smooth = [], []
        for run_id, path in self.drawing.smooth.items():
            stroke, stands_out = self._strokes[run_id], run_id == self._pointed_run
            faded = bool(self._pointed_run) and not stands_out
            if run_id in self.drawing.raw:
                raw.append(
                    BundledLine(self.drawing.raw[run_id], pg.mkPen(_faded(stroke, 0.05 if faded else 0.2)), False)
                )
            width = 2.6 if stands_out and self._is_smooth else 1.8 if few else 1
            alpha = 0.25 if faded else 1.0 if few or stands_out else 0.75
            pen = pg.mkPen(_faded(stroke, alpha), width=width, style=stroke.pattern)
            if run_id in self.drawing.dash_turns and not self._pointed_run:
                _set_dash_turn(pen, *self.drawing.dash_turns[run_id])
            smooth.append((stands_out, BundledLine(path, pen, few)))
        smooth.sort(key=lambda pair: pair[0])
        self._bundle.set_lines([*raw, *(line for _, line in smooth)])
        for run_id, name in self._names.items():
            name.setColor(self._strokes[run_id].colour)
            name.setFont(self._theme.font(0.9))
            name.fill = pg.mkBrush(self._theme.theme.color("surface", 0.75))

    def _set_names(self, names: Mapping[str, str]) -> None:
        for item in self._names.values():
            self.removeItem(item)
        self._names = {}
        metrics = QFontMetrics(self._theme.font(0.9))
        widest = 0
        for run_id, words in names.items():
            words = metrics.elidedText(words, Qt.TextElideMode.ElideMiddle, _NAME_ROOM)
            item = pg.TextItem(words, anchor=(0, 0.5))
            item.textItem.document().setDocumentMargin(1)
            self.addItem(item)
            self._names[run_id] = item
            widest = max(widest, metrics.horizontalAdvance(words))
        room = widest + SPACE if widest else _MARGINS[2]
        if room != self.name_room:
            self.name_room = room
            self.set_margins(*_MARGINS[:2], room)

    @Slot()
    def _place_names(self) -> None:
        """Place labels at the lines' ends, the best run first; hide those that would overlap."""
        view = self.getPlotItem().getViewBox()
        (left, right), (low, high) = view.viewRange()
        per_x, per_y = (right - left) / max(view.width(), 1.0), (high - low) / max(view.height(), 1.0)
        taken: list[QRectF] = []
        for run_id, item in sorted(self._names.items(), key=lambda pair: self.lines[pair[0]].end[1]):
            x, y = self.lines[run_id].end
            label = item.boundingRect()
            box = QRectF((x - left) / per_x, (high - y) / per_y - label.height() / 2, label.width(), label.height() - 3)
            fits = left <= x <= right and low <= y <= high and not any(box.intersects(other) for other in taken)
            item.setVisible(fits)
            if fits:
                taken.append(box)
                item.setPos(x + 4 * per_x, y)


class OverlayPlot(PlotView):
    """An OverlayChart with a menu, keys and a summary. Its read-out is the legend beside it."""

    def __init__(self, theme: ThemeProvider) -> None:
        super().__init__(theme)
        self.set_name("Curves of the runs")
        self.read_out.hide()

    def _make_chart(self) -> Chart:
        return OverlayChart(self._theme)

    def show_lines(self, quantity: str, axis: str, x_range: tuple[float, float], names: Mapping[str, str]) -> None:
        """Describe the lines that the chart draws. names: of the runs, by their id."""
        lines = self.lines_chart.lines
        self.show_spec(
            PlotSpec(
                series=[
                    Series(x=x, y=10**y if self.is_log else y, kind="none", name=names[run_id], in_legend=False)
                    for run_id, (x, y) in ((run_id, line.smooth) for run_id, line in lines.items())
                ],
                x_title=axis,
                y_title=quantity,
                x_range=x_range,
                words=lambda i: self._describe(float(self.places[i]), names),
            )
        )

    @property
    def lines_chart(self) -> OverlayChart:
        """The chart, which draws the lines itself."""
        assert isinstance(self.chart, OverlayChart)
        return self.chart

    def _describe(self, x: float, names: Mapping[str, str]) -> str:
        values = self.lines_chart.values_at(x)
        each = (f"{names[run_id]} {short_number(10**y if self.is_log else y)}" for run_id, y in values.items())
        return f"{self.spec.x_title} {short_number(x)}: {', '.join(each)}"

    def _heights(self, first: float, last: float) -> tuple[float, float]:
        return self.lines_chart.heights(first, last)

    def _free(self) -> tuple[int, int, int]:
        return (*_MARGINS[:2], self.lines_chart.name_room)

    @property
    def can_log(self) -> bool:
        return bool(self.lines_chart.lines)


def _set_dash_turn(pen: QPen, i: int, n: int) -> None:
    """Draw the i-th of n coinciding lines between the dashes of the others."""
    pen.setCapStyle(Qt.PenCapStyle.FlatCap)
    pen.setDashPattern([_DASH, _DASH * (n - 1)])
    pen.setDashOffset(_DASH * i)


def _faded(stroke: Stroke, alpha: float) -> QColor:
    colour = QColor(stroke.colour)
    colour.setAlphaF(alpha)
    return colour


@dataclass(frozen=True, eq=False)
class BundledLine:
    """A path in chart coordinates, with its pen. is_fine: antialiased."""

    path: QPainterPath
    pen: QPen
    is_fine: bool


def path_of(x: NDArray[np.float64], y: NDArray[np.float64]) -> QPainterPath:
    """Return the path through points (n,); non-finite values are gaps."""
    path: QPainterPath = pg.arrayToQPath(x, y, connect="finite")
    return path


class LineBundle(pg.GraphicsObject):  # type: ignore[misc]
    """Many lines as one graphics item: with 200 items, half the time went into their bounding rectangles.

    Later lines are on top. Pens are cosmetic: their width does not scale with the zoom.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lines: Sequence[BundledLine] = ()

    def set_lines(self, lines: Sequence[BundledLine]) -> None:
        """Replace the lines."""
        self._lines = tuple(lines)
        self.update()

    def viewRangeChanged(self) -> None:
        self.prepareGeometryChange()

    def boundingRect(self) -> QRectF:
        seen: QRectF | None = self.viewRect()
        return QRectF() if seen is None else seen

    def paint(self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None) -> None:
        for line in self._lines:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing, line.is_fine)
            painter.setPen(line.pen)
            painter.drawPath(line.path)
