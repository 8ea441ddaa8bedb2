"""The plots of a classification: the confusion matrix, and the calibration of the confidence."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter
from PySide6.QtWidgets import QWidget

from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.plots.heat_map import HeatMap, colour_table
from terrarium.app.plots.pictures import Axis, HeatPicture
from terrarium.app.plots.plot_spec import PlotSpec, Series
from terrarium.app.plots.plot_view import PlotView
from terrarium.models.number_words import format_count, format_percent

_NAMES = 0.3
"""Maximum share of the width for the names of labels."""
_MIN_CELL = 20  # pixels
_MARGINS = (20, 10, 30)
"""Pixels around the bars, for the numbers at the ends of the x axis."""


class ConfusionMap(HeatMap):
    """How often each label (rows) was predicted as each (columns), as a share of the row, with the counts."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(theme, parent)
        self._labels: Sequence[str] = ()
        self._counts = np.zeros((0, 0), np.int64)

    def show_confusion(self, labels: Sequence[str], confusion: Sequence[Sequence[int]]) -> None:
        """Show counts, indexed by [true label][predicted label]."""
        self._labels, self._counts = labels, np.array(confusion, dtype=np.int64)
        totals = self._counts.sum(axis=1, keepdims=True)
        shares = np.divide(self._counts, totals, out=np.zeros(self._counts.shape), where=totals > 0)
        n = len(labels)
        ticks = tuple((i + 0.5, name) for i, name in enumerate(labels))

        def describe(row: int, column: int) -> str:
            count, total = int(self._counts[row, column]), int(totals[row, 0])
            share = f" of {total:,} ({format_percent(count / total)})" if total else ""
            return f"true: {labels[row]}\npredicted: {labels[column]}\n{count:,}{share}"

        self.setMinimumHeight(int((n + 5) * max(_MIN_CELL, self._metrics().height())))
        self.set_picture(
            HeatPicture(
                title="Confusion matrix",
                values=shares.astype(np.float32),
                x=Axis(title="Predicted label", low=0, high=n, ticks=ticks),
                y=Axis(title="True label", low=n, high=0, ticks=ticks),
                colours="sequential",
                low=0.0,
                high=1.0,
                bar=tuple((share, format_percent(share)) for share in (0.0, 0.5, 1.0)),
                describe=describe,
            )
        )

    def sizeHint(self) -> QSize:
        return QSize(440, max(300, self.minimumHeight()))

    def _room(self) -> QRectF:
        room, metrics = super()._room(), self._metrics()
        names = max((metrics.horizontalAdvance(name) for name in self._labels), default=0)
        left = metrics.height() + min(names, int(_NAMES * self.width())) + 2 * SPACE
        room.setLeft(min(left, room.right() - 1))
        return room

    def _ticks(self, axis: Axis, size: float, *, lying: bool) -> list[tuple[float, str]]:
        """Elide names that do not fit; the read-out of a cell has the full names."""
        metrics = self._metrics()
        if lying:
            room = int(size / max(len(self._labels), 1)) - SPACE
        else:
            room = int(self._room().left()) - metrics.height() - SPACE
        ticks = super()._ticks(axis, size, lying=lying)
        return [(at, metrics.elidedText(name, Qt.TextElideMode.ElideRight, room)) for at, name in ticks]

    def _draw_cells(self, painter: QPainter, area: QRectF, picture: HeatPicture) -> None:
        super()._draw_cells(painter, area, picture)
        metrics, table = self._metrics(), colour_table(self._theme, picture.colours)
        painter.setFont(self._theme.font(0.9))
        for (row, column), count in np.ndenumerate(self._counts):
            cell, words = self.cell_rect(column, row, area), f"{count:,}"
            if metrics.horizontalAdvance(words) + 2 > cell.width() or metrics.height() > cell.height():
                continue
            colour = QColor.fromRgba(int(table[round(255 * float(picture.values[row, column]))]))
            is_light = 0.299 * colour.red() + 0.587 * colour.green() + 0.114 * colour.blue() > 140
            painter.setPen(QColor("#000000" if is_light else "#FFFFFF"))
            painter.drawText(cell, Qt.AlignmentFlag.AlignCenter, words)


class ReliabilityPlot(PlotView):
    """A reliability diagram: a bar of the accuracy for each bin of confidence, and the line on which both are equal."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(theme, "Calibration", has_y=True, is_boxed=True, margins=_MARGINS, parent=parent)
        self.set_name("Calibration: share of right answers by confidence")
        self.bins: Sequence[Mapping[str, Any]] = ()
        """The calibration bins, as models.metrics.classification returns them."""

    def sizeHint(self) -> QSize:
        return QSize(360, 300)

    def show_bins(self, bins: Sequence[Mapping[str, Any]]) -> None:
        """Show the accuracy by confidence."""
        self.bins = bins
        middles = np.array([(each["low"] + each["high"]) / 2 for each in bins])
        right = np.array([each["accuracy"] if each["n"] else math.nan for each in bins], np.float64)
        ends = np.array([0.0, 1.0])
        ticks = [(share, format_percent(share)) for share in (0.0, 0.25, 0.5, 0.75, 1.0)]
        self.show_spec(
            PlotSpec(
                series=(
                    Series(
                        x=middles,
                        y=right,
                        kind="bars",
                        name="Right answers",
                        wide=0.8 / max(len(bins), 1),
                        labels=[f"{each['n']:,}" if each["n"] else "" for each in bins],
                        in_legend=False,
                    ),
                    Series(x=ends, y=ends, name="as sure as right", role="text", style="dashed", width=1.2),
                ),
                x_title="How sure the model is",
                y_title="Right answers",
                x_range=(0.0, 1.0),
                y_range=(0.0, 1.0),
                x_names=ticks[::2],
                y_names=ticks,
                at=middles,
                words=self._describe,
            )
        )

    def _describe(self, i: int) -> str:
        each = self.bins[i]
        between = f"{format_percent(each['low'])} to {format_percent(each['high'])} sure"
        if not each["n"]:
            return f"{between}: no answer"
        return (
            f"{between}: {format_count(each['n'], 'answer')}\n{format_percent(each['accuracy'], 1)} right, "
            f"{format_percent(each['confidence'], 1)} expected"
        )
