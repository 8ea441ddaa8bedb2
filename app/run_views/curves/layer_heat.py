"""A heat map of update-to-weight ratios: layers down, steps across."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Slot
from PySide6.QtGui import QFontMetrics, QImage, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.plots.chart import Chart
from terrarium.app.plots.plot_spec import PlotSpec, Series
from terrarium.app.run_views.curves.run_axis import RunAxis, nearest_row
from terrarium.app.run_views.curves.run_chart import RunChart
from terrarium.app.session.run_history import RunHistory
from terrarium.models.number_words import format_count, format_exponent
from terrarium.models.settings.run_spec import TrainConfig

LEVELS = (-6.0, -1.0)
"""log10 of the ratios at the ends of the colour scale, fixed so that runs can be compared."""

_MARKS = {power: f"1e{power:.0f}" for power in (-1.0, -2.0, -3.0, -4.0, -5.0, -6.0)}
_USUAL = -3.0
_MARGIN = 4
"""Pixels above and below the image: a label may be taller than a layer."""

_TITLE = "Update-to-weight ratio"
_TIP = (
    "The norm of each update relative to the weights it changes. About 1e-3 is healthy; with much more, training is "
    "unstable, with much less, the weights hardly change."
)


Floats = NDArray[np.float64]


_BAR = 10


class LayerHeat(RunChart):
    """Update-to-weight ratios on a logarithmic colour scale; columns are at least a pixel wide."""

    def __init__(self, theme: ThemeProvider) -> None:
        self.image = pg.ImageItem(axisOrder="row-major")
        self.layer_names: tuple[str, ...] = ()
        self._train: TrainConfig | None = None
        self._layer: int | None = None
        self.positions, self._logs = np.empty(0), np.empty((0, 0))
        super().__init__(theme, _TITLE, tip=_TIP, margins=(6, _MARGIN, 6))
        self.set_name("Update-to-weight ratio by layer")
        self.image.setZValue(-10)
        self.chart.addItem(self.image)
        self.body.addWidget(ScaleBar(theme, self.chart, theme.quantity_map, LEVELS, _MARKS, _USUAL))
        view = self.chart.getPlotItem().getViewBox()
        view.sigRangeChanged.connect(self._paint)
        view.sigResized.connect(self._on_resized)
        self.redraw()

    def _make_chart(self) -> Chart:
        return Chart(self._theme, margins=self._margins, below=_MARGIN)

    def sizeHint(self) -> QSize:
        return QSize(480, 130)

    def set_train(self, train: TrainConfig | None) -> None:
        """Set the training settings of the run that is drawn next; None if unknown."""
        self._train = train

    def cell(self, row: int, layer: int) -> float:
        """Return the ratio of a layer, by its index in the model, at a row of `history.layers`."""
        return float(self.history.layers[self.layer_names[layer]][row])

    def draw(
        self, history: RunHistory, axis: RunAxis, marks: Sequence[float] = (), ticks: Sequence[float] = ()
    ) -> None:
        before = self.layer_names
        super().draw(history, axis, marks, ticks)
        if self.layer_names != before:
            self.restyle()
        self.chart.show_scales(len(self.positions) > 0)
        self._paint()

    def _spec(self) -> PlotSpec:
        layers = self.history.layers
        if set(self.layer_names) != set(self.history.layer_names):
            self.layer_names = in_model_order(self.history.layer_names)
        self.positions = self.axis.of_rows(layers)
        with np.errstate(divide="ignore"):
            ratios = [np.log10(layers[name]) for name in self.layer_names]
        logs = np.array(ratios).T if ratios else np.empty((len(layers), 0))
        self._logs = np.where(np.isneginf(logs), LEVELS[0], logs)
        anything = len(self.positions) > 0
        step = int(self.history.train["step"][-1]) if len(self.history.train) else 0
        self.image.setVisible(anything)
        return PlotSpec(
            series=[
                Series(x=self.positions, y=layers[name], kind="none", name=short_name(name))
                for name in self.layer_names
            ],
            y_title=_TITLE,
            x_range=(0.0, self._length()),
            y_range=(0.0, float(len(self.layer_names) or 1)),
            message="" if anything else self.history.empty_caption or when_measured(self._train, step),
        )

    @Slot()
    def _paint(self) -> None:
        if not len(self.positions) or not self.layer_names:
            return
        view = self.chart.getPlotItem().getViewBox()
        left, right = view.viewRange()[0]
        cells = layer_cells(self.positions, self._logs, left, right, max(int(view.width()), 1))
        self.image.setImage(cells.values[::-1].astype(np.float32), autoLevels=False, levels=LEVELS)
        self.image.setRect(QRectF(left, 0.0, right - left, float(len(self.layer_names))))
        mean = round(cells.n_mean)
        self.show_unit(f"mean of {mean} per column" if mean > 1 else "")

    @Slot()
    def _write_names(self) -> None:
        """Label the layers, as many as fit, the first layer at the top."""
        n = len(self.layer_names)
        view = self.chart.getPlotItem().getViewBox()
        line = QFontMetrics(self._theme.font(0.9)).height()
        every = max(math.ceil(n * line / max(view.height(), 1.0)), 1)
        ticks = [(n - i - 0.5, short_name(name)) for i, name in enumerate(self.layer_names) if i % every == 0]
        self.chart.getPlotItem().getAxis("left").setTicks([ticks])

    def _read_out_text(self, row: int | None) -> str:
        layers, train = self.history.layers, self.history.train
        if not len(layers) or not self.layer_names:
            return ""
        at = len(layers) - 1 if row is None else nearest_row(layers["step"], float(train["step"][row]))
        step = layers["step"][at]
        if self._layer is not None and row is not None:
            name = short_name(self.layer_names[self._layer])
            return f"{name}, step {step:,.0f}: {format_ratio(self.cell(at, self._layer))}"
        values = np.array([self.cell(at, layer) for layer in range(len(self.layer_names))])
        known = values[np.isfinite(values)]
        if not len(known):
            return "–"
        least, most = format_ratio(float(known.min())), format_ratio(float(known.max()))
        return f"{least} to {most}" if least != most else f"{most} in all layers"

    @Slot(object)
    def _on_pointed(self, point: QPointF | None) -> None:
        n = len(self.layer_names)
        self._layer = None if point is None or not n else min(max(math.floor(n - point.y()), 0), n - 1)
        super()._on_pointed(point)
        self.read_out.setText(self._read_out_text(self.index))

    @Slot()
    def _on_resized(self) -> None:
        self._write_names()
        self._paint()

    def restyle(self) -> None:
        super().restyle()
        self.image.setLookupTable(self._theme.quantity_map().getLookupTable(nPts=256))
        width_of = QFontMetrics(self._theme.font(0.9)).horizontalAdvance
        self.chart.set_widest(max((short_name(name) for name in self.layer_names), key=width_of, default="embedding"))
        self._write_names()


_FIRST = ("embedding", "ngrams", "position", "segment", "embedding_norm")
_SHORT = {
    "ngrams": "n-grams",
    "encoder.": "enc ",
    "decoder.": "dec ",
    "embedding_norm": "emb. norm",
    "_": " ",
}
_BLOCK = re.compile(r"blocks\.(\d+)")


def when_measured(train: TrainConfig | None, step: int) -> str:
    """Say when a run without measurements by `step` first measures its layers, or why it never does."""
    if train is not None and not train.layer_interval:
        return "Not measured: “Layer statistics every” is 0"
    first = 0 if train is None else (step // train.layer_interval + 1) * train.layer_interval
    if train is None or (first > train.steps and step >= train.layer_interval):
        return "Nothing measured so far"
    if first > train.steps:
        return f"Not measured: the run ends at step {train.steps:,}, before step {first:,}"
    return f"Measured at step {first:,} for the first time, then every {format_count(train.layer_interval, 'step')}"


def in_model_order(layers: Sequence[str]) -> tuple[str, ...]:
    """Sort layers in the order of the forward pass, which differs from the order of the modules' parameters."""

    def rank(name: str) -> tuple[int, int]:
        return (0, _FIRST.index(name)) if name in _FIRST else (2 if name == "head" else 1, 0)

    return tuple(sorted(layers, key=rank))


def short_name(layer: str) -> str:
    """Shorten a layer's name for the axis, counting from 1: “encoder.blocks.0” becomes “enc layer 1”."""
    layer = _BLOCK.sub(lambda found: f"layer {int(found[1]) + 1}", layer)
    for whole, short in _SHORT.items():
        layer = layer.replace(whole, short)
    return layer


def format_ratio(ratio: float) -> str:
    """Format a ratio with one decimal: “1.2e-3”."""
    if not ratio or not math.isfinite(ratio):
        return "0" if ratio == 0 else "–"
    return format_exponent(ratio)


class Cells(NamedTuple):
    """The measurements of all layers as cells of an image.

    Attributes:
        values: (L, columns) float64, NaN where nothing was measured.
        n_mean: measurements averaged per column.
    """

    values: Floats
    n_mean: float


def layer_cells(positions: Floats, values: Floats, left: float, right: float, n_columns: int) -> Cells:
    """Resample the measurements to `n_columns` columns, one for each pixel between `left` and `right`.

    A measurement extends half-way to its neighbours. Several in one column are averaged.

    Args:
        positions: (n,) x of the measurements, ascending.
        values: (n, L); not finite where nothing was measured.
    """
    n, edges = len(positions), np.linspace(left, right, n_columns + 1)
    if not n:
        return Cells(np.full((values.shape[1], n_columns), np.nan), 1.0)
    borders = np.concatenate((positions[:1] - _half(positions, 0), (positions[1:] + positions[:-1]) / 2))
    middles = (edges[1:] + edges[:-1]) / 2
    nearest = np.searchsorted(borders, middles, side="right") - 1
    inside = (nearest >= 0) & (middles <= positions[-1] + _half(positions, -1))
    cells = np.where(inside[:, None], values[np.maximum(nearest, 0)], np.nan)
    starts = np.searchsorted(positions, edges)
    n_seen = starts[-1] - starts[0]
    if n_seen <= n_columns:
        return Cells(cells.T, 1.0)
    known = np.isfinite(values)
    sums = np.concatenate((np.zeros((1, values.shape[1])), np.where(known, values, 0.0).cumsum(axis=0)))
    counts = np.concatenate((np.zeros((1, values.shape[1])), known.cumsum(axis=0)))
    total, count = sums[starts[1:]] - sums[starts[:-1]], counts[starts[1:]] - counts[starts[:-1]]
    means = np.divide(total, count, out=cells, where=count > 0)
    return Cells(means.T, n_seen / max(int(inside.sum()), 1))


def _half(positions: Floats, end: int) -> float:
    """Return half the distance from the first (0) or last (-1) measurement to its neighbour."""
    if len(positions) < 2:
        return 0.5
    return float(abs(positions[end] - positions[1 if end == 0 else -2])) / 2


class ScaleBar(QWidget):
    """The colour scale of a chart's image, beside it and as high as its plot area.

    Args:
        colours: the colour map of the image.
        marks: labels by value; if not all fit, only the ends and `usual` are shown.
        usual: the value to emphasize.
    """

    def __init__(
        self,
        theme: ThemeProvider,
        chart: Chart,
        colours: Callable[[], pg.ColorMap],
        levels: tuple[float, float],
        marks: Mapping[float, str],
        usual: float,
    ) -> None:
        super().__init__()
        self._theme, self._chart, self._colours = theme, chart, colours
        self._levels, self._marks, self._usual = levels, marks, usual
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Preferred)
        chart.getPlotItem().getViewBox().sigResized.connect(self._on_resized)
        theme.theme_changed.connect(self.updateGeometry)

    def sizeHint(self) -> QSize:
        metrics = QFontMetrics(self._theme.font(0.9))
        return QSize(
            _BAR + SPACE // 2 + max(metrics.horizontalAdvance(words) for words in self._marks.values()) + 2, 40
        )

    @Slot()
    def _on_resized(self) -> None:
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        inside = self._chart.getPlotItem().getViewBox().sceneBoundingRect()
        bar = QRectF(0, inside.top(), _BAR, inside.height())
        rgba = np.ascontiguousarray(self._colours().getLookupTable(nPts=256, alpha=True)[::-1])
        image = QImage(rgba.data, 1, 256, 4, QImage.Format.Format_RGBA8888)
        painter.drawImage(bar, image)
        metrics = QFontMetrics(self._theme.font(0.9))
        important = (*self._levels, self._usual)
        has_room = bar.height() > len(self._marks) * metrics.height()
        for value, words in self._marks.items():
            if has_room or value in important:
                self._draw_mark(painter, bar, value, words)
        painter.end()

    def _draw_mark(self, painter: QPainter, bar: QRectF, value: float, words: str) -> None:
        is_usual, colors = value == self._usual, self._theme.theme
        font = self._theme.font(0.9, bold=is_usual)
        metrics = QFontMetrics(font)
        low, high = self._levels
        y = bar.bottom() - (value - low) / (high - low) * bar.height()
        if is_usual:
            painter.setPen(colors.color("text"))
            painter.drawLine(QPointF(bar.left(), y), QPointF(bar.right() + SPACE // 4, y))
        painter.setPen(colors.color("text" if is_usual else "muted"))
        painter.setFont(font)
        middle = min(max(y, bar.top() + metrics.ascent() / 2), bar.bottom() - metrics.ascent() / 2)
        box = QRectF(_BAR + SPACE // 2, middle - metrics.height() / 2, self.width(), metrics.height())
        painter.drawText(box, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, words)
