"""The plots of a classification: the confusion matrix, and the calibration of the confidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from terrarium.app.kit.plots.figure import Figure
from terrarium.app.kit.plots.heat_map import HeatMap, colour_table
from terrarium.app.kit.plots.pictures import Axis, HeatPicture
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.models.number_words import format_count, format_percent

_NAMES = 0.3
"""Maximum share of the width for the names of labels."""
_MIN_CELL = 20  # pixels


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


class ReliabilityPlot(Figure):
    """A reliability diagram: a bar of the accuracy for each bin of confidence, and the line on which both are equal."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(theme, parent)
        self.bins: Sequence[Mapping[str, Any]] = ()
        """The calibration bins, as models.metrics.classification returns them."""

    def show_bins(self, bins: Sequence[Mapping[str, Any]]) -> None:
        """Show the accuracy by confidence."""
        self.set_spot(None)
        self.bins = bins
        self.setAccessibleName("Calibration: share of right answers by confidence. Arrow keys read it.")
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(360, 300)

    def _room(self) -> QRectF:
        room = super()._room()
        room.setLeft(self._metrics().height() + self._metrics().horizontalAdvance("100 %") + 1.5 * SPACE)
        room.setRight(self.width() - 2 * SPACE)
        return room

    def _shape(self) -> tuple[int, int]:
        return len(self.bins), 1

    def spot_at(self, point: QPointF) -> tuple[int, int] | None:
        room = self._room()
        if not self.bins or not room.contains(point):
            return None
        return min(int((point.x() - room.left()) / room.width() * len(self.bins)), len(self.bins) - 1), 0

    def _words(self, spot: tuple[int, int]) -> str:
        each = self.bins[spot[0]]
        between = f"{format_percent(each['low'])} to {format_percent(each['high'])} sure"
        if not each["n"]:
            return f"{between}: no answer"
        return (
            f"{between}: {format_count(each['n'], 'answer')}\n{format_percent(each['accuracy'], 1)} right, "
            f"{format_percent(each['confidence'], 1)} expected"
        )

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        colors, room = self._theme.theme, self._room()
        ticks = tuple((share, format_percent(share)) for share in (0.0, 0.25, 0.5, 0.75, 1.0))
        x = Axis(title="How sure the model is", low=0, high=1, ticks=ticks[::2])
        y = Axis(title="Right answers", low=0, high=1, ticks=ticks)
        for place, _ in ticks:
            line = round(room.bottom() - place * room.height()) + 0.5
            painter.setPen(QPen(colors.color("border_strong" if place == 0 else "border"), 1))
            painter.drawLine(QPointF(room.left(), line), QPointF(room.right(), line))
        self._draw_frame(painter, room, "Calibration", x, y)
        wide = room.width() / max(len(self.bins), 1)
        for i, each in enumerate(self.bins):
            if each["n"]:
                height = each["accuracy"] * room.height()
                bar = QRectF(room.left() + (i + 0.1) * wide, room.bottom() - height, 0.8 * wide, height)
                is_read = self.spot is None or self.spot[0] == i
                painter.fillRect(bar, colors.color("accent", 1.0 if is_read else 0.45))
                count = f"{each['n']:,}"
                if self._metrics().horizontalAdvance(count) < wide:
                    painter.setPen(colors.color("muted"))
                    above = QRectF(bar.left() - wide, bar.top() - self._metrics().height(), 2.8 * wide, 20)
                    painter.drawText(above, Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop, count)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(colors.color("text"), 1.2, Qt.PenStyle.DashLine))
        painter.drawLine(room.bottomLeft(), room.topRight())
        if self._shows_focus:
            painter.setPen(QPen(colors.color("accent"), 1))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(room.adjusted(-2, -2, 2, 2))
        if self.spot is not None:
            middle = room.left() + (self.spot[0] + 0.5) * wide
            self._draw_read_out(painter, QPointF(middle, room.center().y()), self._words(self.spot))
