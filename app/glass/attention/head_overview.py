"""All heads of one kind of attention, by layer or sorted by a pattern, and the colour scale."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from PySide6.QtCore import QEvent, QRect, QRectF, QSize, Qt, QTimer, Signal, Slot
from PySide6.QtGui import (
    QFocusEvent,
    QFontMetrics,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QResizeEvent,
    QStandardItemModel,
)
from PySide6.QtWidgets import QComboBox, QFrame, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

from terrarium.app.glass.attention.head_labels import SORTS
from terrarium.app.glass.attention.head_tiles import Tile, TileLayout, grid_layout, paint_tiles, ranked_layout
from terrarium.app.glass.colour_scale import ColourScale
from terrarium.app.kit.basics import label, row
from terrarium.app.kit.inputs import caption
from terrarium.app.kit.layout.flow_layout import wrapping
from terrarium.app.kit.layout.segments import Segments
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.plots.attention_pictures import SCALES, SCALES_TIP, SHOWN, format_share, scale_ticks
from terrarium.models.inspect.attention_maps import StackMaps
from terrarium.models.inspect.head_patterns import EXPLAINED, order_by

_HEIGHTS = (130, 280)  # pixels: bounds of the maximum height
_SPARE = 40
"""Pixels: a margin larger than the change of height when a scroll bar takes width."""
_KEYS = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1, Qt.Key.Key_Up: -1, Qt.Key.Key_Down: 1}


class HeadOverview(QWidget):
    """The montage with its controls.

    Signals:
        scale_changed(): the user chose another colour scale.
    """

    scale_changed = Signal()

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._stack: StackMaps | None = None
        self._highest = _HEIGHTS[1]
        self.sort = QComboBox()
        self.sort.setAccessibleName("Sort heads by")
        for pattern, words in SORTS.items():
            self.sort.addItem(words, pattern)
            tip = EXPLAINED.get(pattern, "layers down, heads across")
            self.sort.setItemData(self.sort.count() - 1, tip[0].upper() + tip[1:], Qt.ItemDataRole.ToolTipRole)
        self.scale = Segments("Colour scale", SCALES, SCALES_TIP)
        self.legend = ColourScale(theme, "sequential")
        self.montage = _HeadMontage(theme)
        self.montage.setProperty("role", "scrolled")
        self._area = QScrollArea()
        self._area.setFrameShape(QFrame.Shape.NoFrame)
        self._area.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # so that clicks between its widgets do not focus it
        self._area.setAccessibleName("All heads")
        self._area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._area.setWidgetResizable(True)
        self._area.setWidget(self.montage)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(SPACE)
        sorting = QWidget()
        sorting.setLayout(row(caption("Sort by", self.sort, "caption"), self.sort))
        scaling = QWidget()
        scaling.setLayout(row(label("Scale", "caption"), self.scale))
        layout.addWidget(wrapping(sorting, scaling))
        layout.addWidget(self._area)
        layout.addWidget(self.legend, 0, Qt.AlignmentFlag.AlignRight)
        self.sort.activated.connect(self._arrange)
        self.scale.changed.connect(self._on_scale)
        self.montage.moved.connect(self._reveal)
        self._fitting = QTimer(self, singleShot=True, interval=0)  # a resize within a resize would be ignored
        self._fitting.timeout.connect(self._fit)
        self.montage.height_changed.connect(self._fitting.start)
        self._show_legend()

    def show_stack(self, stack: StackMaps) -> None:
        """Show the heads of a stack; disable sorting by patterns that could not be measured."""
        self._stack = stack
        items = self.sort.model()
        assert isinstance(items, QStandardItemModel)
        for i, pattern in enumerate(SORTS):
            can = not pattern or not all(math.isnan(score) for site in stack.sites for score in site.scores[pattern])
            items.item(i).setEnabled(can)
            if not can and self.sort.currentIndex() == i:
                self.sort.setCurrentIndex(0)
        self._arrange()

    def set_available_height(self, height: int) -> None:
        """Limit the height to 36 % of the panel's `height`, within `_HEIGHTS`; larger content scrolls."""
        least, most = _HEIGHTS
        self._highest = min(max(round(0.36 * height), least), most)
        self._fit()

    @Slot()
    def _arrange(self) -> None:
        stack, pattern = self._stack, self.sort.currentData()
        if stack is None:
            return
        if not pattern:
            self.montage.show_stack(stack)
            return
        scores = [site.scores[pattern] for site in stack.sites]

        def caption(tile: Tile) -> str:
            score = float(scores[tile.site][tile.head])
            return f"L{tile.site + 1} H{tile.head + 1}\n{'–' if math.isnan(score) else format_share(score)}"

        order = order_by(pattern, [site.scores for site in stack.sites])
        self.montage.show_stack(stack, [Tile(*at) for at in order], caption)

    @Slot(str)
    def _on_scale(self, scale: str) -> None:
        self.montage.set_scale(scale)
        self._show_legend()
        self.scale_changed.emit()

    def _show_legend(self) -> None:
        ends = scale_ticks(self.scale.value)
        self.legend.show_values(SHOWN, ends[0][1], ends[-1][1])

    @Slot()
    def _fit(self) -> None:
        """Fit the height to the tiles, and show a scroll bar if needed.

        The scroll bar takes width, so that the tiles shrink and may then fit without it. It stays in that case, since
        it would flicker otherwise.
        """
        height, policy = self.montage.minimumHeight(), Qt.ScrollBarPolicy
        has_bar = self._area.verticalScrollBarPolicy() == policy.ScrollBarAlwaysOn
        scrolls = height > self._highest - (_SPARE if has_bar else 0)
        self._area.setVerticalScrollBarPolicy(policy.ScrollBarAlwaysOn if scrolls else policy.ScrollBarAlwaysOff)
        self._area.setFixedHeight(min(height, self._highest))

    @Slot(QRect)
    def _reveal(self, rect: QRect) -> None:
        self._area.ensureVisible(rect.center().x(), rect.center().y(), 0, rect.height())


class _HeadMontage(QWidget):
    """All layers and heads at a glance.

    A thumbnail of every head's map: layers down and heads across, or ranked with a caption below each.

    Signals:
        previewed(): `shown` has changed.
        chosen(tile): the user selected a Tile, or None.
        walked(by): Shift and an arrow key were pressed: move the focus by `by` tokens.
        moved(QRect): scroll the tile in this rectangle into view: the keys moved to it, or `begin_with` was called.
        height_changed(): its height has changed.
    """

    previewed = Signal()
    chosen = Signal(object)
    walked = Signal(int)
    moved = Signal(QRect)
    height_changed = Signal()

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._stack: StackMaps | None = None
        self._order: Sequence[Tile] | None = None
        self._caption: Callable[[Tile], str] = lambda tile: ""
        self._scale = "root"
        self.tile_layout = TileLayout((), 1, 1, 0, 0, 0, 1)
        self._image = QImage()
        self._hovered: Tile | None = None
        self._locked: Tile | None = None
        self._first: Tile | None = None
        self._shows_focus = False
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("All heads. Arrow keys choose one, with Shift the token; Escape chooses none.")
        theme.theme_changed.connect(self._arrange)

    def show_stack(
        self, stack: StackMaps, order: Sequence[Tile] | None = None, caption: Callable[[Tile], str] = lambda tile: ""
    ) -> None:
        """Show the heads of a stack by layer, or in `order`, with a caption of two lines below each."""
        if stack is not self._stack:
            self._hovered = self._locked = self._first = None
        self._stack, self._order, self._caption = stack, order, caption
        self._arrange()

    def set_scale(self, scale: str) -> None:
        """Set the colour scale, one of `app.plots.attention_pictures.SCALES`."""
        self._scale = scale
        self._paint_image()

    def keep(self, tile: Tile | None) -> None:
        """Select a tile, None for none, without emitting a signal."""
        if tile != self._locked:
            self._locked = tile
            self.update()

    def begin_with(self, tile: Tile | None) -> None:
        """Set the tile that is shown while none is selected (None: the first one); only `moved` is emitted."""
        if tile != self._first:
            self._first = tile
            self.update()
            if tile in self.tile_layout.tiles:
                self.moved.emit(self.tile_layout.rect(self.tile_layout.tiles.index(tile)))

    @property
    def shown(self) -> Tile:
        """The tile under the pointer, else the selected one, else the one set with `begin_with`, else the first."""
        return self._hovered or self._locked or self._first or self.tile_layout.tiles[0]

    @property
    def tiles(self) -> tuple[Tile, ...]:
        """All tiles, in order."""
        return self.tile_layout.tiles

    def rect_of(self, tile: Tile) -> QRect:
        """Return the rectangle of a tile."""
        return self.tile_layout.rect(self.tile_layout.tiles.index(tile))

    # -- Layout --------------------------------------------------------------------------------------------------------

    @property
    def _line(self) -> int:
        return QFontMetrics(self._theme.font(0.75)).height()

    @Slot()
    def _arrange(self) -> None:
        if self._stack is None:
            return
        if self._order is None:
            left = QFontMetrics(self._theme.font(0.75)).horizontalAdvance(str(len(self._stack.sites))) + SPACE
            self.tile_layout = grid_layout(self._stack, self.width(), left, self._line + 2)
        else:
            self.tile_layout = ranked_layout(self._order, self.width(), 2 * self._line + SPACE)
        if self.tile_layout.height != self.minimumHeight():
            self.setFixedHeight(self.tile_layout.height)
            self.height_changed.emit()
        self._paint_image()

    def _paint_image(self) -> None:
        if self._stack is not None:
            ratio = self.devicePixelRatioF()
            self._image = paint_tiles(self._stack, self.tile_layout, self._scale, self._theme, ratio)
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(420, self.tile_layout.height)

    def minimumSizeHint(self) -> QSize:
        return QSize(200, self.tile_layout.height)

    def resizeEvent(self, event: QResizeEvent) -> None:
        if event.size().width() != event.oldSize().width():
            self._arrange()

    # -- Input ---------------------------------------------------------------------------------------------------------

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        index = self.tile_layout.at(event.position())
        self._hover(None if index is None else self.tile_layout.tiles[index])

    def leaveEvent(self, event: QEvent) -> None:
        self._hover(None)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        index = self.tile_layout.at(event.position())
        if index is not None and event.button() == Qt.MouseButton.LeftButton:
            self._keep(self.tile_layout.tiles[index])

    def keyPressEvent(self, event: QKeyEvent) -> None:
        way = _KEYS.get(Qt.Key(event.key()))
        self._shows_focus = True
        if event.key() == Qt.Key.Key_Escape and self._locked is not None:
            self._keep(None)
        elif way is None or not self.tile_layout.tiles:
            super().keyPressEvent(event)
        elif event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            self.walked.emit(way)
        else:
            down = event.key() in (Qt.Key.Key_Up, Qt.Key.Key_Down)
            self._walk(way * self.tile_layout.n_columns if down else way)

    def focusInEvent(self, event: QFocusEvent) -> None:
        self._shows_focus = event.reason() in (Qt.FocusReason.TabFocusReason, Qt.FocusReason.BacktabFocusReason)
        super().focusInEvent(event)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        self._shows_focus = False
        super().focusOutEvent(event)

    def _walk(self, by: int) -> None:
        tiles = self.tile_layout.tiles
        index = tiles.index(self._locked) + by if self._locked in tiles else 0
        if 0 <= index < len(tiles):
            self._hovered = None
            self._keep(tiles[index])
            self.moved.emit(self.tile_layout.rect(index))

    def _keep(self, tile: Tile | None) -> None:
        self._locked = tile
        self.update()
        self.chosen.emit(tile)

    def _hover(self, tile: Tile | None) -> None:
        if tile != self._hovered:
            self._hovered = tile
            self.update()
            self.previewed.emit()

    # -- Painting ------------------------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        if self._stack is None:
            return
        painter = QPainter(self)
        painter.drawImage(0, 0, self._image)
        colors = self._theme.theme
        painter.setFont(self._theme.font(0.75))
        painter.setPen(colors.color("muted"))
        if self._order is None:
            self._name_layers(painter)
        else:
            self._caption_tiles(painter, event.rect())
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for tile, role, wide in ((self._locked, "accent", 2), (self.shown, "text", 2 if self._hovered else 1)):
            if tile in self.tile_layout.tiles and (role == "accent" or tile != self._locked):
                painter.setPen(QPen(colors.color(role), wide))
                painter.drawRect(QRectF(self.rect_of(tile)))
        if self._shows_focus:
            painter.setPen(QPen(colors.color("accent"), 1, Qt.PenStyle.DotLine))
            painter.drawRect(self.rect().adjusted(0, 0, -1, -1))

    def _name_layers(self, painter: QPainter) -> None:
        assert self._stack is not None
        layout, middle = self.tile_layout, Qt.AlignmentFlag.AlignCenter
        for column in range(layout.n_columns):
            rect = layout.rect(column)
            words = str(column + 1) if column < layout.n_heads else ("mean", "max")[column - layout.n_heads]
            above = QRect(rect.left() - 8, 0, rect.width() + 16, layout.top - 2)
            painter.drawText(above, middle, words)
        for layer in range(len(self._stack.sites)):
            rect = layout.rect(layer * layout.n_columns)
            beside = QRect(0, rect.top(), layout.left - SPACE // 2, rect.height())
            painter.drawText(beside, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, str(layer + 1))

    def _caption_tiles(self, painter: QPainter, seen: QRect) -> None:
        for index, tile in enumerate(self.tile_layout.tiles):
            rect = self.tile_layout.rect(index)
            below = QRect(rect.left() - 1, rect.bottom() + 1, rect.width() + 2, 2 * self._line)
            if below.intersects(seen):
                painter.drawText(below, Qt.AlignmentFlag.AlignCenter, self._caption(tile))
