"""All tokens of a vocabulary as points: hover names them, a click selects one, wheel and drag zoom and pan."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
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
    QPolygonF,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.glass.embeddings.point_view import PointView
from app.kit.figures.pictures import Floats
from app.kit.theme import SPACE, ThemeProvider

_NEAR = 12  # pixels from the pointer to a point that it names
MAX_MARKED = 500
"""Search results that are marked at most."""

_FEW, _NAMED = 3000, 60  # maximum of points drawn one by one; of points that are all named
_ZOOMS = {Qt.Key.Key_Plus: 0.7, Qt.Key.Key_Equal: 0.7, Qt.Key.Key_Minus: 1 / 0.7}


class EmbeddingScatter(QWidget):
    """The points fill the widget until the user zooms; double-click or 0 shows all again.

    Signals:
        chosen(id): the point of this token was clicked.
    """

    chosen = Signal(int)

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._view = PointView(np.zeros((0, 2), np.float32))
        self._names: Sequence[str] = ()
        self._titles = ("", "")
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
        self.setAccessibleName("Map of the embeddings. Plus and minus zoom, 0 shows all.")
        theme.theme_changed.connect(self._redraw)

    def sizeHint(self) -> QSize:
        return QSize(420, 380)

    def show_points(self, points: Floats, names: Sequence[str], titles: tuple[str, str]) -> None:
        """Show other points (V, 2) called `names`, along axes with these titles."""
        self._view, self._names, self._titles = PointView(points), names, titles
        self._hovered, self._chosen, self._near, self._found = -1, -1, (), ()
        self.show_all()

    def mark(self, chosen: int, near: Sequence[int] = ()) -> None:
        """Mark a token, -1 for none, and its neighbours."""
        self._chosen, self._near = chosen, near
        self.setAccessibleDescription(self._names[chosen] if chosen >= 0 else "")
        self.update()

    def mark_found(self, found: Sequence[int]) -> None:
        """Mark search results."""
        self._found = found
        self._redraw()

    @Slot()
    def show_all(self) -> None:
        """Show all points."""
        self._view.show_all()
        self._redraw()

    @property
    def hovered(self) -> int:
        """The token under the pointer, -1 for none."""
        return self._hovered

    # -- Geometry ------------------------------------------------------------------------------------------------------

    def _plot_rect(self) -> QRectF:
        below = QFontMetrics(self._theme.font(0.9)).height() + SPACE / 2
        return QRectF(0, 0, max(self.width(), 1), max(self.height() - 2 * below, 1))

    def point_of(self, id: int) -> QPointF:
        """Where a token is drawn."""
        ((x, y),) = self._view.pixels(np.s_[id : id + 1]).tolist()
        return QPointF(x, y)

    def _token_at(self, point: QPointF) -> int:
        return self._view.nearest(point.x(), point.y(), _NEAR) if self._plot_rect().contains(point) else -1

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
        self._draw_dots(painter, self._near, colors.color("accent"), 4.0)
        taken: list[QRectF] = []
        if self._chosen >= 0:
            self._draw_dots(painter, (self._chosen,), colors.color("text"), 5.0)
            self._draw_name(painter, self._chosen, taken, bold=True)
        if self._hovered >= 0 and self._hovered != self._chosen:
            self._draw_dots(painter, (self._hovered,), colors.color("text"), 4.0)
            self._draw_name(painter, self._hovered, taken, bold=True)
        for id in (*self._near, *self._found[:12], *self._seen_names()):
            self._draw_name(painter, id, taken)
        painter.restore()
        self._draw_titles(painter)

    def _draw_ground(self) -> QPixmap:
        """All points: one by one if they are few, else as a density image."""
        ratio = self.devicePixelRatioF()
        pixmap = QPixmap(self.size() * ratio)
        pixmap.setDevicePixelRatio(ratio)
        pixmap.fill(Qt.GlobalColor.transparent)
        painter, rect, seen = QPainter(pixmap), self._plot_rect(), self._view.seen()
        color = self._theme.theme.color("muted")
        painter.fillRect(rect, self._theme.theme.color("surface"))
        if len(seen) <= _FEW:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            color.setAlphaF(0.55)
            painter.setPen(QPen(color, 4, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
            painter.drawPoints(QPolygonF([QPointF(x, y) for x, y in self._view.pixels(seen).tolist()]))
        else:
            painter.drawImage(QPointF(0, 0), _shaded(self._view.density(), color))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._draw_dots(painter, self._found[:MAX_MARKED], self._theme.theme.color("validation"), 3.0)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        painter.setPen(self._theme.theme.color("border"))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(rect.adjusted(0, 0, -1, -1))
        painter.end()
        return pixmap

    def _seen_names(self) -> list[int]:
        """All visible tokens, if they are few."""
        ids: list[int] = self._view.seen().tolist()
        return ids if len(ids) <= _NAMED else []

    def _draw_dots(self, painter: QPainter, ids: Sequence[int], color: QColor, radius: float) -> None:
        painter.setPen(QPen(self._theme.theme.color("surface"), 1))
        painter.setBrush(color)
        for id in ids:
            painter.drawEllipse(self.point_of(id), radius, radius)

    def _draw_name(self, painter: QPainter, id: int, taken: list[QRectF], *, bold: bool = False) -> None:
        """A token's name beside its point, unless it would overlap another one."""
        font = self._theme.mono_font(0.85)
        font.setBold(bold)
        metrics, at = QFontMetrics(font), self.point_of(id)
        wide = metrics.horizontalAdvance(self._names[id]) + 6
        left = at.x() + 7 if at.x() + 7 + wide < self.width() else at.x() - 7 - wide
        box = QRectF(left, at.y() - metrics.height() / 2, wide, metrics.height())
        if any(box.intersects(other) for other in taken):
            return
        taken.append(box)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self._theme.theme.color("raised", 0.92 if bold else 0.75))
        painter.drawRoundedRect(box, 3, 3)
        painter.setFont(font)
        painter.setPen(self._theme.theme.color("text"))
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, self._names[id])

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
    """The number of points per pixel (height, width) -> an image, more opaque where there are more."""
    alpha = (255 * (1 - 0.72**counts)).astype(np.uint32)
    data = np.ascontiguousarray(alpha << 24 | np.uint32(color.rgb() & 0xFFFFFF))
    high, wide = data.shape
    return QImage(data.data, wide, high, 4 * wide, QImage.Format.Format_ARGB32).copy()
