"""The mask view: which tokens attend to which in each stack of a design."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QPointF, QRectF, QSignalBlocker, Qt, Slot
from PySide6.QtGui import QBrush, QColor, QImage, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QBoxLayout, QCheckBox, QSlider, QWidget

from terrarium.app.builder.positions.masks import MAX_BLOCKS, Grid, describe_mask, grids
from terrarium.app.builder.positions.schemes import display_of
from terrarium.app.kit.basics import column, group, label, plain_tip, row
from terrarium.app.kit.forms.editors import IntBox, keep_wheel_for_scrolling
from terrarium.app.kit.inputs import caption, choice, fill_choice, named
from terrarium.app.kit.layout.flow_layout import wrapping
from terrarium.app.kit.layout.relayout import RelayoutOnResize
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.plots.figure import Figure
from terrarium.models.architecture.mask_tables import MaskedText
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.positions import scheme_of

_FEW = 16
"""The initial number of tokens; each cell is then large enough to point at."""
_WIDE_LINES = 36
"""The width, in line heights, from which the sentence fits beside a grid."""
_HINT = "A filled cell: the query in its row attends to the key in its column. Point at a cell, or use the arrow keys."
_GAP_FROM = 6
"""The minimum size in pixels of cells with gaps between them."""
_CALM, _WEAKEST = 0.6, 0.08
"""Opacity factors of visible cells: outside the row under the pointer; if the penalty leaves no weight."""


class MaskView(QWidget):
    """The attention masks of a design as grids, with controls for length, padding and packing."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._config: ModelConfig | None = None
        self._offered: tuple[int, ...] = ()
        self.words = label("", "muted", wrap=True)
        self.length = choice("Length", f"Tokens of the text. More than {MAX_BLOCKS} are drawn as {MAX_BLOCKS} blocks")
        tip = "Padding tokens at the end: all texts of a batch have the same length"
        self.padding = named(QSlider(Qt.Orientation.Horizontal), "Padding", tip)
        self.padding.setMinimumWidth(72)
        keep_wheel_for_scrolling(self.padding)
        self.padding_words = label("")
        self.packed = QCheckBox("Two documents")
        self.shaded = QCheckBox()
        self.shaded.setToolTip("Show how much of the weight the penalty leaves")
        self.head = named(IntBox(1, 1, 1), "Head")
        self.grids = tuple(MaskGrid(theme) for _ in range(3))
        self.sentence = label(_HINT, wrap=True)
        self._build()
        self._connect()

    def set_design(self, config: ModelConfig, length: int) -> None:
        """Show the masks of `config` and offer `length`, that of the user's texts, among the lengths."""
        self._config = config
        self.words.setText(describe_mask(config))
        self._offer_lengths(config, length)
        may_pack = config.topology != "encoder-decoder" and not config.n_segment
        self.packed.setEnabled(may_pack)
        self.packed.setToolTip(
            plain_tip(
                "Two texts packed into one row, masked from each other"
                if may_pack
                else "Only models with a single stack and no segment embeddings can have packed texts"
            )
        )
        self.alibi.setVisible(display_of(config).log_decay is not None)
        self.shaded.setText(f"Shade by {scheme_of(config).title}, head")
        with QSignalBlocker(self.head):
            self.head.setMaximum(config.n_head)
        self._draw()

    # -- Layout --------------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        self.alibi = group(row(self.shaded, self.head))
        self.alibi.hide()
        length = group(row(caption("Length", self.length, "muted"), self.length))
        padding = group(row(label("Padding", "muted"), self.padding, self.padding_words))
        figures = row(*self.grids)
        self._body = row(figures, self.sentence, spacing=2 * SPACE, grows=(figures, self.sentence))
        bar = wrapping(length, padding, self.packed)
        self.setLayout(column(self.words, bar, row(self.alibi, None), self._body, grows=self._body))
        RelayoutOnResize(self, self._arrange)
        self.sentence.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.padding_words.setMinimumWidth(self.fontMetrics().horizontalAdvance("88,888"))

    def _connect(self) -> None:
        self.length.activated.connect(self._on_length)
        self.padding.valueChanged.connect(self._draw)
        self.packed.toggled.connect(self._draw)
        self.shaded.toggled.connect(self._draw)
        self.head.valueChanged.connect(self._on_head)
        for grid in self.grids:
            grid.read.connect(self._say)

    # -- Choosing ------------------------------------------------------------------------------------------------------

    def _offer_lengths(self, config: ModelConfig, length: int) -> None:
        """Offer powers of two up to the context, the context and the user's length; keep the choice if possible."""
        context = config.context_length
        powers = [2**i for i in range(3, 7)] + [2**i for i in range(8, 24, 2)]
        offered = tuple(sorted({min(max(length, 1), context), context, *(n for n in powers if n < context)}))
        if offered == self._offered:
            return
        before = self.length.currentData()
        few = min(context, _FEW)
        # A sliding window is visible only if the text is longer than the window.
        at_first = next((n for n in offered if n >= max(few, 2 * config.sliding_window)), context)
        words = {n: f"{n:,}" if n <= MAX_BLOCKS else f"{n:,} in blocks" for n in offered}
        fill_choice(self.length, words, before if before in offered else at_first)
        self._offered = offered
        self._limit_padding()

    def _limit_padding(self) -> None:
        length: int = self.length.currentData()
        share = self.padding.value() / self.padding.maximum() if self.padding.maximum() else 0
        with QSignalBlocker(self.padding):
            self.padding.setRange(0, length // 2)
            self.padding.setPageStep(max(1, length // 8))
            self.padding.setValue(round(share * (length // 2)))

    @Slot()
    def _on_length(self) -> None:
        self._limit_padding()
        self._draw()

    @Slot()
    def _on_head(self) -> None:
        self.shaded.setChecked(True)
        self._draw()

    # -- Drawing -------------------------------------------------------------------------------------------------------

    @property
    def text(self) -> MaskedText:
        """The text whose masks are shown."""
        length: int = self.length.currentData()
        is_packed = self.packed.isChecked() and self.packed.isEnabled()
        return MaskedText(
            length=length, n_padding=self.padding.value(), second_start=length * 2 // 5 if is_packed else 0
        )

    @Slot()
    def _arrange(self) -> None:
        """Place the sentence beside the grid if there is a single one and the view is wide enough, else below."""
        has_room = self.width() >= _WIDE_LINES * self.fontMetrics().height()
        is_beside = has_room and sum(not grid.isHidden() for grid in self.grids) == 1
        down, right = QBoxLayout.Direction.TopToBottom, QBoxLayout.Direction.LeftToRight
        self._body.setDirection(right if is_beside else down)
        self._body.setStretch(0, 2 if is_beside else 0)
        self._body.setStretch(1, 1)

    @Slot()
    def _draw(self) -> None:
        config = self._config
        if config is None:
            return
        self.padding_words.setText(f"{self.padding.value():,}")
        is_shaded = display_of(config).log_decay is not None and self.shaded.isChecked()
        head = self.head.value() - 1 if is_shaded else None
        shown = grids(config, self.text, head)
        four_lines = 4 * self.sentence.fontMetrics().height() + 4
        self.sentence.setMinimumHeight(four_lines)  # so that the layout stays in place when the sentence gets longer
        for i, widget in enumerate(self.grids):
            widget.setVisible(i < len(shown))
            if i < len(shown):
                widget.set_grid(shown[i])
        self._arrange()
        self._say("")

    @Slot(str)
    def _say(self, words: str) -> None:
        if not words:
            shown = [widget.grid for widget in self.grids if not widget.isHidden() and widget.grid is not None]
            words = "\n".join([*(f"{grid.title}: {grid.summary}" for grid in shown), "", _HINT][-5:])
        self.sentence.setText(words)


class MaskGrid(Figure):
    """Shows a Grid: queries are rows, keys are columns; the row of the selected cell is highlighted."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(theme, parent)
        self._grid: Grid | None = None
        self.setMinimumSize(120, 140)
        policy = self.sizePolicy()
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    @property
    def grid(self) -> Grid | None:
        """The mask shown, None before the first."""
        return self._grid

    def set_grid(self, grid: Grid) -> None:
        """Show another mask."""
        self._grid = grid
        self.set_spot(None)
        self.setAccessibleName(f"{grid.title}: {grid.summary}. Arrow keys read it.")
        self.update()

    def heightForWidth(self, width: int) -> int:
        left, top = self._margins()
        return round(width - left + top)

    # -- Reading -------------------------------------------------------------------------------------------------------

    def _shape(self) -> tuple[int, int]:
        n = len(self._grid.share) if self._grid is not None else 0
        return n, n

    def _words(self, spot: tuple[int, int]) -> str:
        assert self._grid is not None
        return self._grid.describe(spot[1], spot[0])

    def spot_at(self, point: QPointF) -> tuple[int, int] | None:
        area = self.area
        n = self._shape()[0]
        if not n or not area.contains(point):
            return None
        cell = area.width() / n
        return min(int((point.x() - area.left()) / cell), n - 1), min(int((point.y() - area.top()) / cell), n - 1)

    # -- Painting ------------------------------------------------------------------------------------------------------

    @property
    def area(self) -> QRectF:
        """The square of the cells. A cell is an integral number of pixels wide if there is space for at least one."""
        n = max(self._shape()[0], 1)
        left, top = self._margins()
        size = max(min(self.width() - left - 2, self.height() - top - 2), n / 2)
        if size >= n:
            size = int(size / n) * n
        return QRectF(int(left), int(top), size, size)

    def _margins(self) -> tuple[float, float]:
        """Return the space for titles and numbers on the left and at the top."""
        metrics = self._metrics()
        left = metrics.height() + 1.5 * SPACE + metrics.horizontalAdvance(self._last_number())
        return left, self.fontMetrics().height() + 2 * metrics.height() + SPACE

    def _last_number(self) -> str:
        return f"{self._grid.edges[-1] - 1:,}" if self._grid is not None else "0"

    def cell_rect(self, column: int, row: int) -> QRectF:
        """Return the rectangle of a cell, including its gap."""
        area, n = self.area, self._shape()[0]
        cell = area.width() / n
        return QRectF(area.left() + column * cell, area.top() + row * cell, cell, cell)

    def paintEvent(self, event: QPaintEvent) -> None:
        grid = self._grid
        if grid is None:
            return
        painter = QPainter(self)
        self._draw_cells(painter, grid)
        self._draw_words(painter, grid)
        if self._shows_focus:
            painter.setPen(QPen(self._theme.theme.color("accent"), 1))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(self.area.adjusted(-2, -2, 1, 1))

    def _draw_cells(self, painter: QPainter, grid: Grid) -> None:
        colors, area, n = self._theme.theme, self.area, len(grid.share)
        cell = area.width() / n
        gap = 1 if cell >= _GAP_FROM else 0
        painter.drawImage(area, self._image(grid))
        if gap:
            painter.setPen(QPen(colors.color("surface"), 1))
            for i in range(1, n + 1):
                at = i * cell - 0.5
                painter.drawLine(QPointF(area.left() + at, area.top()), QPointF(area.left() + at, area.bottom()))
                painter.drawLine(QPointF(area.left(), area.top() + at), QPointF(area.right(), area.top() + at))
        self._hatch_padding(painter, grid, area, cell)
        if self.spot is not None:
            painter.setPen(QPen(colors.color("text"), 1.5))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(self.cell_rect(*self.spot).adjusted(0, 0, -gap, -gap))

    def _image(self, grid: Grid) -> QImage:
        """Return an image with a pixel per cell: the visible fraction, stronger in the selected row."""
        shown = grid.share if grid.strength is None else grid.share * (_WEAKEST + (1 - _WEAKEST) * grid.strength)
        strength = np.where(grid.share > 0, _CALM * shown, 0.0)
        if self.spot is not None:
            strength[self.spot[1]] = shown[self.spot[1]]
        ground, seen = (_rgb(self._theme.theme.color(role)) for role in ("sunken", "accent"))
        mixed = ground + (seen - ground) * strength[..., None]
        pixels = np.zeros((*grid.share.shape, 4), np.uint8)
        pixels[..., :3] = (mixed[..., ::-1] + 0.5).astype(np.uint8)  # QImage stores blue first
        n = len(grid.share)
        return QImage(pixels.data, n, n, 4 * n, QImage.Format.Format_RGB32).copy()

    def _hatch_padding(self, painter: QPainter, grid: Grid, area: QRectF, cell: float) -> None:
        first = int(np.searchsorted(grid.edges[:-1], grid.n_real))
        if first >= len(grid.share):
            return
        brush = QBrush(self._theme.theme.color("text", 0.4), Qt.BrushStyle.BDiagPattern)
        painter.fillRect(
            QRectF(area.left() + first * cell, area.top(), area.right() - area.left() - first * cell, area.height()),
            brush,
        )

    def _draw_words(self, painter: QPainter, grid: Grid) -> None:
        colors, area, metrics = self._theme.theme, self.area, self._metrics()
        align = Qt.AlignmentFlag
        painter.setFont(self._theme.font(bold=True))
        painter.setPen(colors.color("text"))
        head = QRectF(area.left(), 0, self.width() - area.left(), self.fontMetrics().height())
        painter.drawText(head, align.AlignLeft | align.AlignVCenter, grid.title)
        painter.setFont(self._theme.font(0.9))
        painter.setPen(colors.color("muted"))
        line = metrics.height()
        over = QRectF(area.left(), head.bottom() + SPACE / 4, area.width(), line)
        painter.drawText(over, align.AlignCenter, grid.columns)
        painter.save()
        painter.translate(0, area.bottom())
        painter.rotate(-90)
        painter.drawText(QRectF(0, 0, area.height(), line), align.AlignCenter, grid.rows)
        painter.restore()
        for block in self._numbered(grid):
            words = f"{grid.edges[block]:,}"
            half = metrics.horizontalAdvance(words) / 2 + 1
            cell = self.cell_rect(block, block)
            is_read = self.spot is not None and block == self.spot[0]
            painter.setPen(colors.color("text" if is_read else "muted"))
            above = QRectF(cell.center().x() - half, area.top() - line - 1, 2 * half, line)
            painter.drawText(above, align.AlignCenter, words)
            is_read = self.spot is not None and block == self.spot[1]
            painter.setPen(colors.color("text" if is_read else "muted"))
            before = QRectF(0, cell.center().y() - line / 2, area.left() - SPACE / 2, line)
            painter.drawText(before, align.AlignRight | align.AlignVCenter, words)

    def _numbered(self, grid: Grid) -> list[int]:
        """Return the blocks labelled with their first token's number: all if they fit, else every second, fourth …"""
        n, cell = len(grid.share), self.area.width() / len(grid.share)
        wide = self._metrics().horizontalAdvance(self._last_number()) + SPACE
        for step in (1, 2, 4, 5, 8, 10, 16, 20, 32, 64):
            if step * cell >= wide:
                return list(range(0, n, step))
        return [0]


def _rgb(color: QColor) -> np.ndarray:
    return np.array([color.red(), color.green(), color.blue()], np.float64)
