"""A heat map with axes and a colour bar, drawn as one image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, Qt, Slot
from PySide6.QtGui import QBrush, QImage, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from terrarium.app.kit.chart_export import Columns
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.plots.figure import Figure
from terrarium.app.plots.pictures import Floats, HeatPicture

Colours = NDArray[np.uint32]

_BAR = 10  # pixels


class HeatMap(Figure):
    """Shows a HeatPicture."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(theme, parent)
        self._picture: HeatPicture | None = None
        self._image = QImage()
        self._bar = QImage()

    @property
    def picture(self) -> HeatPicture | None:
        """The current picture."""
        return self._picture

    def set_picture(self, picture: HeatPicture) -> None:
        """Show another picture, and end the read-out."""
        self._picture = picture
        self.set_spot(None)
        self.setAccessibleName(f"{picture.title}: {picture.x.title} by {picture.y.title}. Arrow keys read it.")
        self.setAccessibleDescription(self.summary())
        self._paint_images()
        self.update()

    def columns(self) -> Columns:
        if self._picture is None:
            return {}
        rows, columns = np.indices(self._picture.values.shape)
        where = {"row": rows.ravel() + 1, "column": columns.ravel() + 1}
        return {**where, self._picture.shows or self._picture.title: self._picture.values.ravel()}

    def summary(self) -> str:
        picture = self._picture
        if picture is None or not np.isfinite(picture.values).any():
            return "Nothing is drawn yet."
        rows, columns = picture.values.shape
        ends = [
            divmod(int(find(picture.values)), columns) for find in (np.nanargmin, np.nanargmax)
        ]  # of the values, which may be a scale of what is described
        lowest, highest = (picture.describe(row, column).replace("\n", ", ") for row, column in ends)
        return f"{rows:,} rows by {columns:,} columns. Lowest: {lowest}. Highest: {highest}."

    # -- Reading -------------------------------------------------------------------------------------------------------

    def _shape(self) -> tuple[int, int]:
        if self._picture is None:
            return 0, 0
        rows, columns = self._picture.values.shape
        return columns, rows

    def spot_at(self, point: QPointF) -> tuple[int, int] | None:
        columns, rows = self._shape()
        area = self.area
        if not columns or not area.contains(point):
            return None
        x, y = (point.x() - area.left()) / area.width(), (point.y() - area.top()) / area.height()
        return min(int(x * columns), columns - 1), min(int(y * rows), rows - 1)

    def _words(self, spot: tuple[int, int]) -> str:
        assert self._picture is not None
        return self._picture.describe(spot[1], spot[0])

    def cell_rect(self, column: int, row: int, area: QRectF | None = None) -> QRectF:
        """Return the rectangle of a cell; pass `area` to avoid computing it for each of many cells."""
        columns, rows = self._shape()
        area = self.area if area is None else area
        wide, high = area.width() / columns, area.height() / rows
        return QRectF(area.left() + column * wide, area.top() + row * high, wide, high)

    # -- Painting ------------------------------------------------------------------------------------------------------

    @Slot()
    def _restyle(self) -> None:
        self._paint_images()
        super()._restyle()

    @property
    def area(self) -> QRectF:
        """The rectangle of the cells; square cells are a whole number of pixels if possible."""
        room = self._room()
        if self._picture is None:
            return room
        columns, rows = self._shape()
        wide, high = room.width() / columns, room.height() / rows
        if self._picture.square:
            wide = high = float(int(min(wide, high))) if min(wide, high) >= 4 else min(wide, high)
        return QRectF(int(room.left()), int(room.top()), int(wide * columns), int(high * rows))

    def _paint_images(self) -> None:
        picture = self._picture
        if picture is None:
            return
        table = colour_table(self._theme, picture.colours)
        self._image = coloured(picture.values, picture.low, picture.high, table)
        self._bar = as_image(table[::-1, None])

    def paintEvent(self, event: QPaintEvent) -> None:
        picture = self._picture
        if picture is None:
            return
        painter = QPainter(self)
        colors, area = self._theme.theme, self.area
        if np.isnan(picture.values).any():
            painter.fillRect(area, colors.color("sunken"))
            painter.fillRect(area, QBrush(colors.color("border_strong", 0.6), Qt.BrushStyle.BDiagPattern))
        self._draw_cells(painter, area, picture)
        self._draw_frame(painter, area, picture.title, picture.x, picture.y)
        self._draw_bar(painter, area, picture)
        self._draw_focus(painter, area.adjusted(0, 0, -1, -1))
        if self.spot is not None:
            self._draw_spot(painter, area, picture, self.spot)

    def _draw_cells(self, painter: QPainter, area: QRectF, picture: HeatPicture) -> None:
        """Draw sharp cells; cells of one or two pixels are interpolated, as they would be unevenly wide."""
        rows, columns = picture.values.shape
        image, mixed = self._image, False
        if not picture.square:
            wide = columns if area.width() < 3 * columns else int(area.width())
            high = rows if area.height() < 3 * rows else int(area.height())
            image = image.scaled(wide, high)
            mixed = wide == columns or high == rows
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, mixed)
        painter.drawImage(area, image)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, False)

    def _draw_bar(self, painter: QPainter, area: QRectF, picture: HeatPicture) -> None:
        colors, metrics = self._theme.theme, self._metrics()
        bar = QRectF(area.right() + 1.5 * SPACE, area.top(), _BAR, area.height())
        painter.drawImage(bar, self._bar)
        painter.setPen(colors.color("border_strong"))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(bar.adjusted(0, 0, -1, -1))
        painter.setPen(colors.color("muted"))
        painter.setFont(self._theme.font(0.9))
        drawn: list[float] = []
        ends = (picture.low, picture.high)
        for value, words in sorted(
            picture.bar, key=lambda mark: mark[0] not in ends
        ):  # the ends first, which always fit
            share = (picture.high - value) / max(picture.high - picture.low, 1e-12)
            middle = bar.top() + share * bar.height()
            middle = min(max(middle, bar.top() + metrics.height() / 2 - 2), bar.bottom() - metrics.height() / 2 + 2)
            if any(abs(middle - other) < metrics.height() - 4 for other in drawn):
                continue
            drawn.append(middle)
            box = QRectF(bar.right() + SPACE * 0.75, middle - metrics.height() / 2, self.width(), metrics.height())
            painter.drawText(box, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, words)
        widest = max((metrics.horizontalAdvance(words) for _, words in picture.bar), default=0)
        beside = QPointF(bar.right() + SPACE * 1.25 + widest, bar.bottom())
        self._draw_upwards(painter, beside, bar.height(), picture.shows)

    def _draw_spot(self, painter: QPainter, area: QRectF, picture: HeatPicture, spot: tuple[int, int]) -> None:
        colors, cell = self._theme.theme, self.cell_rect(*spot)
        painter.setPen(QPen(colors.color("text", 0.45), 1))
        middle = cell.center()
        painter.drawLine(QPointF(area.left(), middle.y()), QPointF(area.right(), middle.y()))
        painter.drawLine(QPointF(middle.x(), area.top()), QPointF(middle.x(), area.bottom()))
        painter.setPen(QPen(colors.color("text"), 1.5))
        painter.drawRect(cell.adjusted(-1, -1, 1, 1))
        self._draw_read_out(painter, middle, self._words(spot))


def colour_table(theme: ThemeProvider, colours: str) -> Colours:
    """Return the 256 colours (0xAARRGGBB) of a colour map, by its name in HeatPicture.colours."""
    rgb = theme.colour_map(colours).getLookupTable(nPts=256, alpha=False).astype(np.uint32)
    table: Colours = 0xFF000000 | rgb[:, 0] << 16 | rgb[:, 1] << 8 | rgb[:, 2]
    return table


def coloured(values: Floats, low: float, high: float, table: Colours) -> QImage:
    """Map values (rows, columns) to colours, as an image with one pixel each; NaN is transparent."""
    share = np.nan_to_num((values - low) / max(high - low, 1e-12))
    pixels = table[(np.clip(share, 0, 1) * 255 + 0.5).astype(np.intp)]
    pixels[np.isnan(values)] = 0
    return as_image(pixels)


def as_image(pixels: Colours) -> QImage:
    """Copy pixels (rows, columns) of 0xAARRGGBB into an image."""
    rows, columns = pixels.shape
    data = np.ascontiguousarray(pixels, np.uint32)
    return QImage(data.data, columns, rows, 4 * columns, QImage.Format.Format_ARGB32).copy()
