"""All layers and heads at a glance: hover previews a head, a click selects it, arrow keys move."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QEvent, QRect, QRectF, QSize, Qt, Signal, Slot
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
)
from PySide6.QtWidgets import QSizePolicy, QWidget

from terrarium.app.glass.attention.head_tiles import Tile, TileLayout, grid_layout, paint_tiles, ranked_layout
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.models.inspect.attention_maps import StackMaps

_KEYS = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1, Qt.Key.Key_Up: -1, Qt.Key.Key_Down: 1}


class HeadMontage(QWidget):
    """A thumbnail of every head's map: layers down and heads across, or ranked with a caption below each.

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
        for row in range(len(self._stack.sites)):
            rect = layout.rect(row * layout.n_columns)
            beside = QRect(0, rect.top(), layout.left - SPACE // 2, rect.height())
            painter.drawText(beside, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, str(row + 1))

    def _caption_tiles(self, painter: QPainter, seen: QRect) -> None:
        for index, tile in enumerate(self.tile_layout.tiles):
            rect = self.tile_layout.rect(index)
            below = QRect(rect.left() - 1, rect.bottom() + 1, rect.width() + 2, 2 * self._line)
            if below.intersects(seen):
                painter.drawText(below, Qt.AlignmentFlag.AlignCenter, self._caption(tile))
