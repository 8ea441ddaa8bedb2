"""A scatter plot of the tokens of a vocabulary, with a symbol for each kind.

Hovering shows a token's name, a click selects it, the wheel zooms and dragging pans.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal, Slot
from PySide6.QtGui import (
    QColor,
    QFontMetrics,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPixmap,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QSizePolicy, QWidget

from terrarium.app.glass.embeddings.embedding_table import EmbeddingTable
from terrarium.app.glass.embeddings.kinds import KINDS, Kind, label_order
from terrarium.app.glass.embeddings.symbols import colour_of, draw_symbol, symbol_path
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.plots.pictures import Floats

_NEAR = 12  # pixels: the maximum distance from the pointer to a hovered point
MAX_MARKED = 500
"""The maximum number of marked search results."""
_FEW, _NAMED = 3000, 60  # the maximum of visible points drawn one by one, and of those that are all named
_LABELS, _TRIED = 30, 400  # otherwise: the maximum of labels, and of tokens tried for them
_RADIUS = 3.6  # pixels
_ZOOMS = {Qt.Key.Key_Plus: 0.7, Qt.Key.Key_Equal: 0.7, Qt.Key.Key_Minus: 1 / 0.7}


class EmbeddingScatter(QWidget):
    """The scatter plot. It fits all points until the user zooms or pans; double-click or 0 fits them again.

    Signals:
        chosen(id): the user clicked the point of this token.
    """

    chosen = Signal(int)

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._view = PointView(np.zeros((0, 2), np.float32))
        self._ids = np.zeros(0, np.int64)
        self._rows: dict[int, int] = {}
        self._names: Sequence[str] = ()
        self._kinds: Sequence[Kind] = ()
        self._labels: Sequence[int] = ()
        self.labelled: list[int] = []
        """The ids of the tokens labelled in the last painting, without the chosen, hovered, near and found ones."""
        self._titles: Sequence[str] = ()
        self._ground: QPixmap | None = None
        self._hovered = -1
        self._chosen = -1
        self._near: Sequence[int] = ()
        self._found: Sequence[int] = ()
        self._dragged_from: QPointF | None = None
        self._moved = False
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(240, 200)
        self.setAccessibleName("Map of the embeddings. The keys plus and minus zoom, 0 shows all.")
        theme.theme_changed.connect(self._redraw)

    def sizeHint(self) -> QSize:
        return QSize(420, 300)

    def show_table(self, table: EmbeddingTable, titles: Sequence[str]) -> None:
        """Show another table, with the lines `titles` below it."""
        self._ids = np.array(table.shown, np.int64)
        self._rows = {id: row for row, id in enumerate(table.shown)}
        self._view, self._names, self._titles = PointView(table.map.points[self._ids]), table.names, titles
        self._kinds = table.kinds
        self._labels = label_order(table.kinds, table.counts, table.shown)[:_TRIED]
        self._hovered, self._chosen, self._near, self._found = -1, -1, (), ()
        self.show_all()

    def mark(self, chosen: int, near: Sequence[int] = ()) -> None:
        """Mark a token (−1 for none) and its neighbours, if they are on the map."""
        self._chosen, self._near = chosen if chosen in self._rows else -1, [id for id in near if id in self._rows]
        self.setAccessibleDescription(self._names[chosen] if chosen >= 0 else "")
        self.update()

    def mark_found(self, found: Sequence[int]) -> None:
        """Mark the search results that are on the map."""
        self._found = [id for id in found if id in self._rows]
        self._redraw()

    @Slot()
    def show_all(self) -> None:
        """Fit all points into the view."""
        self._view.show_all()
        self._redraw()

    @property
    def hovered(self) -> int:
        """The id of the token under the pointer, −1 for none."""
        return self._hovered

    # -- Geometry ------------------------------------------------------------------------------------------------------

    def _plot_rect(self) -> QRectF:
        below = QFontMetrics(self._theme.font(0.9)).height() + SPACE / 2
        return QRectF(0, 0, max(self.width(), 1), max(self.height() - len(self._titles) * below, 1))

    def point_of(self, id: int) -> QPointF:
        """Return where a token is drawn. It must be on the map."""
        row = self._rows[id]
        ((x, y),) = self._view.pixels(np.s_[row : row + 1]).tolist()
        return QPointF(x, y)

    def _token_at(self, point: QPointF) -> int:
        row = self._view.nearest(point.x(), point.y(), _NEAR) if self._plot_rect().contains(point) else -1
        return int(self._ids[row]) if row >= 0 else -1

    # -- Painting ------------------------------------------------------------------------------------------------------

    @Slot()
    def _redraw(self) -> None:
        self._ground = None
        self._view.resize(self._plot_rect().width(), self._plot_rect().height())
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        if not len(self._view.points):
            return
        painter = QPainter(self)
        if self._ground is None:
            self._ground = self._draw_ground()
        painter.drawPixmap(0, 0, self._ground)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.save()
        painter.setClipRect(self._plot_rect())
        colors = self._theme.theme
        self._draw_rings(painter, self._near, QPen(colors.color("accent"), 1.5), 6.5)
        taken: list[QRectF] = []
        if self._chosen >= 0:
            self._draw_rings(painter, (self._chosen,), QPen(colors.color("text"), 2.0), 7.5)
            self._draw_name(painter, self._chosen, taken, bold=True)
        if self._hovered >= 0 and self._hovered != self._chosen:
            self._draw_rings(painter, (self._hovered,), QPen(colors.color("text"), 1.5), 6.5)
            self._draw_name(painter, self._hovered, taken, bold=True)
        for id in (*self._near, *self._found[:12]):
            self._draw_name(painter, id, taken)
        self._draw_labels(painter, taken)
        painter.restore()
        self._draw_titles(painter)

    def _draw_ground(self) -> QPixmap:
        """Draw all points into a pixmap: one by one if they are few, else as a density image for each kind."""
        ratio = self.devicePixelRatioF()
        pixmap = QPixmap(self.size() * ratio)
        pixmap.setDevicePixelRatio(ratio)
        pixmap.fill(Qt.GlobalColor.transparent)
        painter, rect, seen = QPainter(pixmap), self._plot_rect(), self._view.seen()
        painter.fillRect(rect, self._theme.theme.color("surface"))
        painter.setClipRect(rect)
        kinds = {kind: [row for row in seen.tolist() if self._kinds[self._ids[row]] == kind] for kind in KINDS[::-1]}
        if len(seen) <= _FEW:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            for kind, rows in kinds.items():
                self._draw_symbols(painter, kind, np.array(rows, np.int64))
        else:
            for kind, rows in kinds.items():
                density = self._view.density(np.array(rows, np.int64))
                painter.drawImage(QPointF(0, 0), _shaded(density, colour_of(kind, self._theme)))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._draw_dots(painter, self._found[:MAX_MARKED], self._theme.theme.color("validation"), 3.0)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        painter.setPen(self._theme.theme.color("border"))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(rect.adjusted(0, 0, -1, -1))
        painter.end()
        return pixmap

    def _draw_symbols(self, painter: QPainter, kind: Kind, rows: NDArray[np.int64]) -> None:
        """Draw the points of one kind; kinds without labels are smaller and fainter."""
        path, colour = symbol_path(kind.shape, _RADIUS * (1.0 if kind.is_named else 0.8)), colour_of(kind, self._theme)
        painter.setOpacity(1.0 if kind.is_named else 0.55)
        for x, y in self._view.pixels(rows).tolist():
            painter.translate(x, y)
            draw_symbol(painter, path, colour, self._theme)
            painter.translate(-x, -y)
        painter.setOpacity(1.0)

    def _draw_labels(self, painter: QPainter, taken: list[QRectF]) -> None:
        """Draw names beside points: of all if few are visible, else of up to `_LABELS` tokens of all named kinds."""
        seen = self._ids[self._view.seen()].tolist()
        wanted = seen if len(seen) <= _NAMED else [id for id in self._labels if id in set(seen)]
        most, self.labelled = _NAMED if len(seen) <= _NAMED else _LABELS, []
        for id in wanted:
            if len(self.labelled) >= most:
                break
            if self._draw_name(painter, id, taken):
                self.labelled.append(id)

    def _draw_rings(self, painter: QPainter, ids: Sequence[int], pen: QPen, radius: float) -> None:
        """Draw rings around the symbols of points."""
        painter.setPen(pen)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for id in ids:
            painter.drawEllipse(self.point_of(id), radius, radius)

    def _draw_dots(self, painter: QPainter, ids: Sequence[int], color: QColor, radius: float) -> None:
        painter.setPen(QPen(self._theme.theme.color("surface"), 1))
        painter.setBrush(color)
        for id in ids:
            painter.drawEllipse(self.point_of(id), radius, radius)

    def _draw_name(self, painter: QPainter, id: int, taken: list[QRectF], *, bold: bool = False) -> bool:
        """Draw a token's name beside its point unless it would overlap another name; return whether it was drawn."""
        font = self._theme.mono_font(0.85)
        font.setBold(bold)
        metrics, at = QFontMetrics(font), self.point_of(id)
        wide = metrics.horizontalAdvance(self._names[id]) + 6
        left = at.x() + 7 if at.x() + 7 + wide < self.width() else at.x() - 7 - wide
        box = QRectF(left, at.y() - metrics.height() / 2, wide, metrics.height())
        if any(box.intersects(other) for other in taken):
            return False
        taken.append(box)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self._theme.theme.color("raised", 0.92 if bold else 0.75))
        painter.drawRoundedRect(box, 3, 3)
        painter.setFont(font)
        painter.setPen(self._theme.theme.color("text"))
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, self._names[id])
        return True

    def _draw_titles(self, painter: QPainter) -> None:
        font = self._theme.font(0.9)
        metrics = QFontMetrics(font)
        painter.setFont(font)
        painter.setPen(self._theme.theme.color("muted"))
        top = self._plot_rect().bottom() + SPACE / 4
        for title in self._titles:
            shown = metrics.elidedText(title, Qt.TextElideMode.ElideRight, self.width())
            painter.drawText(QRectF(0, top, self.width(), metrics.height()), Qt.AlignmentFlag.AlignLeft, shown)
            top += metrics.height() + 1

    # -- Input ---------------------------------------------------------------------------------------------------------

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._dragged_from is not None:
            by = event.position() - self._dragged_from
            if self._moved or by.manhattanLength() > 4:
                self._moved = True
                self._view.move(by.x(), by.y())
                self._dragged_from = event.position()
                self._redraw()
            return
        self._hover(self._token_at(event.position()))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self._dragged_from, self._moved = event.position(), False

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        was_click = self._dragged_from is not None and not self._moved
        self._dragged_from = None
        token = self._token_at(event.position())
        if was_click and token >= 0:
            self.chosen.emit(token)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self.show_all()

    def wheelEvent(self, event: QWheelEvent) -> None:
        self._zoom(0.85 ** (event.angleDelta().y() / 120), event.position())
        event.accept()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key = Qt.Key(event.key())
        if key in _ZOOMS:
            self._zoom(_ZOOMS[key], self.point_of(self._chosen) if self._chosen >= 0 else self._plot_rect().center())
        elif key == Qt.Key.Key_0:
            self.show_all()
        else:
            super().keyPressEvent(event)

    def leaveEvent(self, event: QEvent) -> None:
        self._hover(-1)

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._redraw()

    def _hover(self, token: int) -> None:
        if token != self._hovered:
            self._hovered = token
            self.setCursor(Qt.CursorShape.PointingHandCursor if token >= 0 else Qt.CursorShape.ArrowCursor)
            self.update()

    def _zoom(self, factor: float, at: QPointF) -> None:
        self._view.zoom(factor, at.x(), at.y())
        self._redraw()


def _shaded(counts: Floats, color: QColor) -> QImage:
    """Return an image of the number of points per pixel (height, width), more opaque where there are more."""
    alpha = (255 * (1 - 0.72**counts)).astype(np.uint32)
    data = np.ascontiguousarray(alpha << 24 | np.uint32(color.rgb() & 0xFFFFFF))
    high, wide = data.shape
    return QImage(data.data, wide, high, 4 * wide, QImage.Format.Format_ARGB32).copy()


class PointView:
    """A view of points in `width` × `height` pixels, initially of all points. The origin of pixels is the top left.

    Both axes have the same scale, so that distances are not distorted.

    Attributes:
        points: (n, 2).
        middle: (2,) the centre of the view. per_pixel: the size of a pixel in units of the points.
    """

    def __init__(self, points: Floats) -> None:
        self.points = points
        self.middle, self.per_pixel = np.zeros(2), 1.0
        self.width = self.height = 1.0
        self._is_whole = True

    def show_all(self) -> None:
        """Fit all points into the view."""
        self._is_whole = True
        if len(self.points):
            low, high = self.points.min(axis=0), self.points.max(axis=0)
            self.middle = (low + high) / 2.0
            self.per_pixel = max(1.06 * float(((high - low) / [self.width, self.height]).max()), 1e-9)

    def resize(self, width: float, height: float) -> None:
        """Change the size in pixels; keep fitting all points or, after zooming or panning, keep the centre."""
        self.width, self.height = max(width, 1.0), max(height, 1.0)
        if self._is_whole:
            self.show_all()

    def pixels(self, ids: slice | NDArray[np.int64] = np.s_[:]) -> Floats:
        """Return the pixel coordinates (n, 2) of points, by default of all."""
        scale = np.array([1.0, -1.0]) / self.per_pixel
        found: Floats = ((self.points[ids] - self.middle) * scale).astype(np.float32)
        found += np.array([self.width / 2, self.height / 2], np.float32)
        return found

    def seen(self) -> NDArray[np.int64]:
        """Return the indices of the visible points."""
        x, y = self.pixels().T
        return np.flatnonzero((x >= 0) & (y >= 0) & (x < self.width) & (y < self.height))

    def nearest(self, x: float, y: float, within: float) -> int:
        """Return the index of the point nearest to a pixel; −1 if none is within `within` pixels."""
        if not len(self.points):
            return -1
        away = ((self.pixels() - np.array([x, y], np.float32)) ** 2).sum(axis=1)
        found = int(away.argmin())
        return found if away[found] <= within**2 else -1

    def zoom(self, factor: float, x: float, y: float) -> None:
        """Zoom in (`factor` below 1) or out around the pixel (x, y), which stays in place."""
        aside = np.array([x - self.width / 2, self.height / 2 - y]) * self.per_pixel
        self.middle, self.per_pixel = self.middle + aside * (1 - factor), self.per_pixel * factor
        self._is_whole = False

    def move(self, right: float, down: float) -> None:
        """Pan by a number of pixels."""
        self.middle = self.middle - np.array([right, -down]) * self.per_pixel
        self._is_whole = False

    def density(self, ids: NDArray[np.int64]) -> Floats:
        """Return how many of these visible points cover each pixel, (height, width); a point is 2 × 2 pixels."""
        wide, high = int(self.width), int(self.height)
        x, y = self.pixels(ids).astype(np.int64).T
        counts = np.zeros(wide * high, np.float32)
        for right, down in ((0, 0), (1, 0), (0, 1), (1, 1)):
            at = np.minimum(y + down, high - 1) * wide + np.minimum(x + right, wide - 1)
            counts += np.bincount(at, minlength=wide * high)
        return counts.reshape(high, wide)
