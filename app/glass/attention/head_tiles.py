"""The thumbnails of all heads of a model: their layout, and their painting into one image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from PySide6.QtCore import QPointF, QRect
from PySide6.QtGui import QColor, QImage

from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.plots.attention_pictures import scaled
from terrarium.app.plots.heat_map import colour_table
from terrarium.app.plots.pictures import Floats
from terrarium.models.inspect.attention_maps import StackMaps, pooled_to

GUTTER = 2
_SMALLEST, _LARGEST = 16, 64  # pixels of a tile
_RANKED = 56
_APART = 10  # gap before the mean and maximum
_HATCH = 5  # pixels from one line to the next


class Tile(NamedTuple):
    """The index of a layer and of a head in it; the two after the last head are the mean and maximum over all heads."""

    site: int
    head: int


@dataclass(frozen=True)
class TileLayout:
    """A layout of tiles in `n_columns`, row by row; lengths in pixels.

    side: of a tile. left, top: space for labels beside and above the rows. below: space for captions below each row.
    n_heads: the number of tiles per row before the gap; `n_columns` for no gap.
    """

    tiles: tuple[Tile, ...]
    n_columns: int
    side: int
    left: int
    top: int
    below: int
    n_heads: int

    @property
    def height(self) -> int:
        """The height of all rows in pixels."""
        return self.top + -(-len(self.tiles) // self.n_columns) * self._row

    @property
    def _row(self) -> int:
        return self.side + GUTTER + self.below

    def rect(self, index: int) -> QRect:
        """Return the rectangle of tile `index`."""
        row, column = divmod(index, self.n_columns)
        x = self.left + column * (self.side + GUTTER) + (_APART if column >= self.n_heads else 0)
        return QRect(x, self.top + row * self._row, self.side, self.side)

    def at(self, point: QPointF) -> int | None:
        """Return the index of the tile under a point, its gutter and caption included, or None."""
        x, y = point.x() - self.left, point.y() - self.top
        column = int(x // (self.side + GUTTER))
        if column >= self.n_heads:
            column = max(int((x - _APART) // (self.side + GUTTER)), self.n_heads)
            if x < self.n_heads * (self.side + GUTTER) + _APART:
                return None
        index = int(y // self._row) * self.n_columns + column
        return index if x >= 0 and y >= 0 and column < self.n_columns and index < len(self.tiles) else None


def grid_layout(stack: StackMaps, width: int, left: int, top: int) -> TileLayout:
    """Lay out layers down and heads across, with the mean and maximum over each layer's heads on the right."""
    n_heads = stack.sites[0].n_head
    side = (width - left - _APART) // (n_heads + 2) - GUTTER
    tiles = tuple(Tile(site, head) for site in range(len(stack.sites)) for head in range(n_heads + 2))
    return TileLayout(tiles, n_heads + 2, min(max(side, _SMALLEST), _LARGEST), left, top, 0, n_heads)


def ranked_layout(order: Sequence[Tile], width: int, below: int) -> TileLayout:
    """Lay out heads in the given order, as many per row as fit, each with space for a caption below it."""
    columns = max(width // (_RANKED + GUTTER), 1)
    return TileLayout(tuple(order), columns, _RANKED, 0, 0, below, columns)


def paint_tiles(stack: StackMaps, layout: TileLayout, scale: str, theme: ThemeProvider, ratio: float) -> QImage:
    """Paint all tiles of a layout into one image, masked cells hatched. ratio: device pixels per pixel."""
    side = round(layout.side * ratio)
    maps = np.stack([stack.sites[tile.site].small[tile.head] for tile in layout.tiles])
    values = scaled(pooled_to(maps, side), scale)
    down, across = (np.arange(side) * n // side for n in values.shape[1:])
    pixels = _coloured(values, theme)[:, down[:, None], across]
    hidden = np.isnan(values)[:, down[:, None], across]
    lines = (np.add.outer(np.arange(side), np.arange(side)) % round(_HATCH * ratio)) < ratio
    ground, line = (_argb(theme.theme.color(role)) for role in ("sunken", "border_strong"))
    pixels = np.where(hidden, np.where(lines, line, ground), pixels)
    rects = [layout.rect(i) for i in range(len(layout.tiles))]
    right = max((rect.right() for rect in rects[: layout.n_columns]), default=0) + 1
    image = np.zeros((round(layout.height * ratio), round(right * ratio)), np.uint32)
    for tile, rect in zip(pixels, rects, strict=True):
        x, y = int(rect.left() * ratio), int(rect.top() * ratio)
        part = image[y : y + side, x : x + side]
        part[:] = tile[: part.shape[0], : part.shape[1]]
    rows, columns = image.shape
    shown = QImage(image.data, columns, rows, 4 * columns, QImage.Format.Format_ARGB32).copy()
    shown.setDevicePixelRatio(ratio)
    return shown


def _coloured(values: Floats, theme: ThemeProvider) -> np.ndarray:
    table = colour_table(theme, "sequential")
    indices: np.ndarray = (np.nan_to_num(values).clip(0, 1) * 255 + 0.5).astype(np.intp)
    colours: np.ndarray = table[indices]
    return colours


def _argb(color: QColor) -> np.uint32:
    return np.uint32(color.rgba())
