"""The attention of one head in two sentences and its difference, with a list of the heads to choose from."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QEvent, QPointF, QRectF, QSignalBlocker, QSize, Qt, Signal, Slot
from PySide6.QtGui import (
    QBrush,
    QFocusEvent,
    QFontMetrics,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
)
from PySide6.QtWidgets import QFrame, QSizePolicy, QWidget

from terrarium.app.kit.basics import column, label, row
from terrarium.app.kit.inputs import choice
from terrarium.app.kit.layout.segments import Segments
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.minimal_pairs.pair_text import (
    Floats,
    by_column,
    column_labels,
    describe_row,
    format_points,
    masked,
    row_differences,
    side_tokens,
)
from terrarium.app.plots.attention_pictures import SCALES, SCALES_TIP
from terrarium.app.plots.heat_map import colour_table, coloured
from terrarium.models.number_words import format_prob, format_signed

if TYPE_CHECKING:
    from terrarium.models.inspect.minimal_pair import PairReading


_SCALES = {scale: SCALES[scale] for scale in ("root", "linear")}
_ABOUT = (
    "Rows attend to columns; the marked row is the token chosen above. These are the softmax weights of one forward "
    "pass per sentence. Hatched: masked. They show where a head reads from, not why the model answers so: attention "
    "is not explanation."
)
_LARGEST_CELL, _LONGEST = 26, 14  # pixels; characters
_BAR = 8
_KEYS = {Qt.Key.Key_Up: (-1, 0), Qt.Key.Key_Down: (1, 0), Qt.Key.Key_Left: (0, -1), Qt.Key.Key_Right: (0, 1)}
"""The step (rows, columns) of each key."""
_TITLES = ("A", "B", "B − A")


class AttentionCard(QFrame):
    """A card with the maps of one head.

    Args:
        whose: a widget beside the title that chooses the model.

    Signals:
        picked(column): the user chose another token.
    """

    picked = Signal(int)

    def __init__(self, theme: ThemeProvider, whose: QWidget, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "card")
        self._reading: PairReading | None = None
        self._row = -1
        self._wanted: tuple[int, int] | None = None
        self.heads = choice("Head", "All heads, sorted by how much the row of the chosen token differs", width=34)
        self.scale = Segments("Colour scale", _SCALES, SCALES_TIP)
        self.maps = _PairMaps(theme)
        self.summary = label("", wrap=True)
        self.summary.setMinimumHeight(2 * self.summary.fontMetrics().lineSpacing())
        self.title = label("", "subheading")
        head, about = row(self.title, whose, None, self.heads, self.scale), label(_ABOUT, "caption", wrap=True)
        margin = (2 * SPACE, SPACE + SPACE // 2, 2 * SPACE, SPACE + SPACE // 2)
        self.setLayout(column(head, self.maps, self.summary, None, about, margin=margin))
        self.heads.activated.connect(self._on_head)
        self.scale.changed.connect(self._draw)
        self.maps.read.connect(self._on_read)
        self.maps.picked.connect(self.picked)

    @property
    def head(self) -> tuple[int, int]:
        """(layer, head) of the shown maps, from 0."""
        found: tuple[int, int] = self.heads.currentData()
        return found

    def show_reading(self, reading: PairReading, row: int) -> None:
        """Show another pair; `row` is the column of the chosen token."""
        self._reading, self._row = reading, row
        self.title.setText("Encoder attention" if reading.answers_once else "Attention")
        differences = row_differences(reading, row)
        n_layer, n_head = differences.shape
        heads = [(layer, head) for layer in range(n_layer) for head in range(n_head)]
        heads.sort(key=lambda head: -differences[head])
        with QSignalBlocker(self.heads):
            self.heads.clear()
            for layer, head in heads:
                largest = float(differences[layer, head])
                words = f"differs by up to {format_points(largest)}" if largest else "no difference"
                self.heads.addItem(f"Layer {layer + 1}, head {head + 1} · {words}", (layer, head))
            if self._wanted in heads:
                self.heads.setCurrentIndex(heads.index(self._wanted))
        self._draw()

    @Slot()
    def _on_head(self) -> None:
        self._wanted = self.head
        self._draw()

    @Slot()
    def _draw(self) -> None:
        if self._reading is not None:
            self.maps.show_head(self._reading, *self.head, self._row, root=self.scale.value == "root")
            self._on_read("")

    @Slot(str)
    def _on_read(self, words: str) -> None:
        """Describe the cell under the pointer, or else the chosen row."""
        if self._reading is not None:
            self.summary.setText(words or describe_row(self._reading, *self.head, self._row))


class _PairMaps(QWidget):
    """One head's attention in two sentences and the difference, of the same tokens side by side.

    Three attention maps, in which rows attend to columns.

    The pointer or the arrow keys select a cell in all maps; a click or Enter chooses its row.

    Signals:
        read(text): the description of the selected cell, '' for none.
        picked(row): the user chose another token.
    """

    read = Signal(str)
    picked = Signal(int)

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._tables: list[Floats] = []
        self._words: list[list[str]] = [[], [], []]
        self._limit, self._row, self._root = 1.0, -1, True
        self._spot: tuple[int, int] | None = None
        self._images: list[QImage] = []
        self._bars: list[QImage] = []
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("Attention in both sentences, and its difference")
        theme.theme_changed.connect(self._restyle)

    @property
    def tables(self) -> Sequence[Floats]:
        """The weights in A and in B, and their difference, (K, K) each."""
        return self._tables

    def show_head(self, reading: PairReading, layer: int, head: int, row: int, *, root: bool) -> None:
        """Show a head, with one row marked; `root` colours by the square root, which makes small weights visible."""
        difference = masked(reading, reading.difference[layer, head])
        self._tables = [*(by_column(reading, side, layer, head) for side in (0, 1)), difference]
        self._words = [side_tokens(reading, 0), side_tokens(reading, 1), column_labels(reading)]
        self._row, self._root = row, root
        self._limit = float(np.nanmax(np.abs(difference), initial=0.0)) or 1.0
        self._set_spot(None)
        self._restyle()

    @Slot()
    def _restyle(self) -> None:
        sequential, diverging = colour_table(self._theme, "sequential"), colour_table(self._theme, "diverging")
        if self._tables:
            weights = [np.sqrt(table) if self._root else table for table in self._tables[:2]]
            self._images = [coloured(table, 0.0, 1.0, sequential) for table in weights]
            self._images.append(coloured(self._tables[2], -self._limit, self._limit, diverging))
        ramp = np.linspace(0, 1, 256, dtype=np.float32)[None]
        self._bars = [coloured(ramp, 0.0, 1.0, sequential), coloured(ramp, 0.0, 1.0, diverging)]
        self.updateGeometry()
        self.update()

    # -- Layout --------------------------------------------------------------------------------------------------------

    def _metrics(self) -> QFontMetrics:
        return QFontMetrics(self._theme.mono_font(0.85))

    def _label(self) -> int:
        """Return the width of the longest token's label in pixels."""
        metrics = self._metrics()
        longest = max((metrics.horizontalAdvance(word) for word in self._words[2]), default=0)
        return int(min(longest, _LONGEST * metrics.horizontalAdvance("0")) + SPACE)

    def _cell(self, width: float) -> float:
        n = max(len(self._words[2]), 1)
        available = (width - self._label() - 4 * SPACE) / 3 / n
        return min(float(int(available)) if available >= 4 else max(available, 1.0), _LARGEST_CELL)

    def area(self, which: int) -> QRectF:
        """Return the rectangle of a map."""
        side = self._cell(self.width()) * len(self._words[2])
        top = self._line + self._label()
        return QRectF(self._label() + which * (side + 2 * SPACE), top, side, side)

    @property
    def _line(self) -> int:
        return QFontMetrics(self._theme.font(bold=True)).height() + 2

    def sizeHint(self) -> QSize:
        return QSize(720, self.heightForWidth(max(self.width(), 480)))

    def minimumSizeHint(self) -> QSize:
        return QSize(420, self.heightForWidth(max(self.width(), 420)))

    def heightForWidth(self, width: int) -> int:
        side = self._cell(width) * len(self._words[2])
        return int(self._line + self._label() + side + SPACE + _BAR + self._metrics().height() + 2)

    def resizeEvent(self, event: QEvent) -> None:
        self.updateGeometry()

    # -- Selection -----------------------------------------------------------------------------------------------------

    def _spot_at(self, point: QPointF) -> tuple[int, int] | None:
        """Return (row, column) of the cell under a point, in any of the maps."""
        n, cell = len(self._words[2]), self._cell(self.width())
        for which in range(3):
            area = self.area(which)
            if area.contains(point):
                row, column = (int((at) / cell) for at in (point.y() - area.top(), point.x() - area.left()))
                return min(row, n - 1), min(column, n - 1)
        return None

    def _set_spot(self, spot: tuple[int, int] | None) -> None:
        if spot != self._spot:
            self._spot = spot
            words = "" if spot is None else self.describe(*spot)
            self.setAccessibleDescription(words)
            self.read.emit(words)
            self.update()

    def describe(self, row: int, column: int) -> str:
        """Describe the weights of a cell."""
        first, second, difference = (float(table[row, column]) for table in self._tables)
        cell = f"“{self._words[2][row]}” at “{self._words[2][column]}”"
        weights = [
            f"{name} {'–' if math.isnan(value) else format_prob(value)}"
            for name, value in (("A", first), ("B", second))
        ]
        if math.isnan(difference):
            return f"{cell}: {', '.join(weights)}; nothing to compare"
        change = "exactly 0" if difference == 0 else f"{format_signed(100 * difference, 1)} points"
        return f"{cell}: {', '.join(weights)}; B − A {change}"

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        self._set_spot(self._spot_at(event.position()))

    def leaveEvent(self, event: QEvent) -> None:
        self._set_spot(None)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        self._set_spot(None)
        super().focusOutEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        step, last = _KEYS.get(Qt.Key(event.key())), len(self._words[2]) - 1
        if step is not None and last >= 0:
            row, column = self._spot or (self._row, 0)
            if self._spot is not None:
                row, column = row + step[0], column + step[1]
            self._set_spot((min(max(row, 0), last), min(max(column, 0), last)))
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self._spot is not None:
            self.picked.emit(self._spot[0])
        elif event.key() == Qt.Key.Key_Escape and self._spot is not None:
            self._set_spot(None)
        else:
            super().keyPressEvent(event)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        spot = self._spot_at(event.position())
        if spot is not None:
            self.picked.emit(spot[0])

    # -- Painting ------------------------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        if not self._tables:
            return
        painter = QPainter(self)
        colors = self._theme.theme
        for which in range(3):
            area = self.area(which)
            painter.fillRect(area, colors.color("sunken"))
            painter.fillRect(area, QBrush(colors.color("border_strong", 0.6), Qt.BrushStyle.BDiagPattern))
            painter.drawImage(area, self._images[which])
            painter.setPen(colors.color("border_strong"))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(area)
            painter.setFont(self._theme.font(bold=True))
            painter.setPen(colors.color("text"))
            above = QRectF(area.left(), 0, area.width(), self._line)
            painter.drawText(above, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, _TITLES[which])
            self._draw_columns(painter, area, self._words[which])
            self._draw_rows(painter, area, first=which == 0)
        self._draw_bar(painter, 0, 2, (0.0, 0.1, 0.25, 0.5, 1.0))
        self._draw_bar(painter, 2, 1, ())

    def _is_written(self, k: int, chosen: Collection[int]) -> bool:
        """Return whether token `k` is labelled: chosen tokens are, others at intervals if not near a chosen one."""
        every = max(1, math.ceil(0.88 * self._metrics().height() / self._cell(self.width())))
        return k in chosen or (k % every == 0 and all(abs(k - other) >= every for other in chosen if other >= 0))

    def _draw_columns(self, painter: QPainter, area: QRectF, words: Sequence[str]) -> None:
        cell, height = self._cell(self.width()), self._metrics().height()
        read = self._spot[1] if self._spot is not None else -1
        painter.setFont(self._theme.mono_font(0.85))
        for k, word in enumerate(words):
            is_read = k == read
            if not self._is_written(k, {read}):
                continue
            painter.save()
            painter.translate(area.left() + (k + 0.5) * cell, area.top() - SPACE / 2)
            painter.rotate(-90)
            painter.setPen(self._theme.theme.color("text" if is_read else "muted"))
            text = self._metrics().elidedText(word, Qt.TextElideMode.ElideRight, self._label() - SPACE // 2)
            painter.drawText(QRectF(0, -height / 2, 1000, height), Qt.AlignmentFlag.AlignVCenter, text)
            painter.restore()

    def _draw_rows(self, painter: QPainter, area: QRectF, *, first: bool) -> None:
        """Draw the tokens at the left of the first map; in all maps, frame the chosen and the selected row."""
        cell, colors = self._cell(self.width()), self._theme.theme
        read = self._spot[0] if self._spot is not None else -1
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        for k, word in enumerate(self._words[2]):
            box = QRectF(area.left(), area.top() + k * cell, area.width(), cell)
            if k in (self._row, read):
                painter.setPen(QPen(colors.color("accent" if k == self._row else "text"), 1.5))
                painter.setBrush(Qt.BrushStyle.NoBrush)
                painter.drawRect(box)
            if first and self._is_written(k, {self._row, read}):
                painter.setFont(self._theme.mono_font(0.85))
                painter.setPen(colors.color("accent" if k == self._row else "text" if k == read else "muted"))
                wide = self._label() - SPACE / 2
                text = self._metrics().elidedText(word, Qt.TextElideMode.ElideRight, int(wide))
                painter.drawText(QRectF(0, box.top(), wide, cell), right | Qt.TextFlag.TextDontClip, text)

    def _draw_bar(self, painter: QPainter, which: int, n_maps: int, marks: Sequence[float]) -> None:
        """Draw a colour bar under one map or two, from 0 to 100 % or, without marks, around zero."""
        first, last = self.area(which), self.area(which + n_maps - 1)
        top = first.bottom() + SPACE
        bar = QRectF(first.left(), top, last.right() - first.left(), _BAR)
        painter.drawImage(bar, self._bars[which > 0])
        painter.setFont(self._theme.font(0.85))
        painter.setPen(self._theme.theme.color("muted"))
        ticks = [(math.sqrt(mark) if self._root else mark, f"{100 * mark:.0f} %") for mark in marks]
        if not marks:
            ends = format_points(self._limit)
            ticks = [(0.0, f"−{ends}"), (0.5, "0"), (1.0, f"+{ends}")]
        metrics = QFontMetrics(painter.font())
        for at, words in ticks:
            wide = metrics.horizontalAdvance(words) + 2
            x = min(max(bar.left() + at * bar.width() - wide / 2, bar.left()), bar.right() - wide)
            painter.drawText(QRectF(x, bar.bottom() + 1, wide, metrics.height()), Qt.AlignmentFlag.AlignCenter, words)
