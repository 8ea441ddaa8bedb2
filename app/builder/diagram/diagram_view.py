"""The view of the diagram: zoom, pan and fit, hovering, and keyboard navigation between parts."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QPoint, QPointF, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QFocusEvent, QKeyEvent, QMouseEvent, QNativeGestureEvent, QPainter, QResizeEvent, QWheelEvent
from PySide6.QtWidgets import QApplication, QFrame, QGraphicsScene, QGraphicsView, QStyle, QWidget

from terrarium.app.builder.diagram.items import Mark, NodeItem
from terrarium.app.builder.diagram.lines import WireItem
from terrarium.app.kit.theme import ThemeProvider

_MIN_ZOOM, _MAX_ZOOM = 0.2, 4.0
_MIN_FIT, _MAX_FIT = 0.6, 1.35  # limits of `fit`: smaller is hard to read, larger adds nothing
_MIN_FIT_WIDTH = 0.45  # a picture may get smaller to fit its width, since scrolling sideways is harder
_ARROWS = {
    Qt.Key.Key_Left: QPointF(-1, 0),
    Qt.Key.Key_Right: QPointF(1, 0),
    Qt.Key.Key_Up: QPointF(0, -1),
    Qt.Key.Key_Down: QPointF(0, 1),
}


class DiagramView(QGraphicsView):
    """Shows marks, and reports the one that the user points at or chooses.

    Signals:
        pointed(mark): the mark under the pointer or reached by the keyboard, None for none.
        chosen(mark): a mark was clicked, or Enter was pressed on it; None for a click beside all marks.
        stepped(mark, direction): Shift+Up (1) or Shift+Down (-1) was pressed on a mark.
        moved(): the picture was scrolled or zoomed, or the view resized.
    """

    pointed = Signal(object)
    chosen = Signal(object)
    stepped = Signal(object, int)
    moved = Signal()

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._marks: list[Mark] = []
        self._lit: Mark | None = None
        self._focused: Mark | None = None
        self._press: QPoint | None = None
        self._pointer = QPoint()
        self._is_panning = False
        self._is_fitted = True
        self.setScene(QGraphicsScene(self))
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.TextAntialiasing)
        self.setTransformationAnchor(QGraphicsView.ViewportAnchor.AnchorUnderMouse)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.horizontalScrollBar().valueChanged.connect(self.moved)
        self.verticalScrollBar().valueChanged.connect(self.moved)

    # -- content -------------------------------------------------------------------------------------------------------

    @property
    def marks(self) -> tuple[Mark, ...]:
        """The interactive items."""
        return tuple(self._marks)

    @property
    def focused(self) -> Mark | None:
        """The mark with the keyboard focus."""
        return self._focused

    @property
    def lit(self) -> Mark | None:
        """The mark under the pointer."""
        return self._lit

    def show_marks(self, marks: Sequence[Mark], frame: QRectF) -> None:
        """Show the marks of a redrawn scene; the keyboard focus stays on the same part."""
        key = self._focused.part.key if self._focused is not None else ""
        self._marks = list(marks)
        self._lit = None
        self._focused = next((mark for mark in self._stops() if mark.part.key == key), None) if key else None
        if self._focused is not None:
            self._focused.set_state("focused", self.hasFocus())
        self.setSceneRect(frame)
        if self._is_fitted:
            self.fit()

    def rect_of(self, mark: Mark) -> QRect:
        """Return the mark's rectangle in the viewport; for a line under the pointer, a small one around the pointer."""
        if mark is self._lit and isinstance(mark, WireItem):
            return QRect(self._pointer, QSize(1, 1)).adjusted(-8, -8, 8, 8)
        return self.mapFromScene(mark.sceneBoundingRect()).boundingRect()

    # -- zoom ----------------------------------------------------------------------------------------------------------

    @property
    def is_fitted(self) -> bool:
        """Whether the zoom follows the size of the view, instead of a choice of the user."""
        return self._is_fitted

    def fit(self) -> None:
        """Show the whole picture, or its width if it would be too small to read."""
        self._is_fitted = True
        if self.sceneRect().isEmpty():  # nothing is shown yet
            return
        # Compute the scale first, then set each scroll bar on or off. Bars shown as needed would toggle endlessly for a
        # picture that just fits, since each takes space from the other.
        frame, room = self.sceneRect(), self.contentsRect()
        bar = self.style().pixelMetric(QStyle.PixelMetric.PM_ScrollBarExtent)
        scale = self._fitting(frame, room)
        is_tall = frame.height() * scale > room.height() + 1
        if is_tall:
            scale = self._fitting(frame, room.adjusted(0, 0, -bar, 0))
        is_wide = frame.width() * scale > room.width() - is_tall * bar + 1
        self.setVerticalScrollBarPolicy(_bar(is_tall))
        self.setHorizontalScrollBarPolicy(_bar(is_wide))
        self._scale_to(scale)
        self.moved.emit()

    def _fitting(self, frame: QRectF, room: QRect) -> float:
        text = self._theme.text_scale
        across, down = room.width() / frame.width(), room.height() / frame.height()
        return min(max(across, _MIN_FIT_WIDTH), max(down, _MIN_FIT * text), _MAX_FIT * text)

    def zoom(self, factor: float) -> None:
        """Zoom by `factor`, within limits."""
        self._is_fitted = False
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        self._scale_to(min(max(self.transform().m11() * factor, _MIN_ZOOM), _MAX_ZOOM))
        self.moved.emit()

    def _scale_to(self, scale: float) -> None:
        if abs(scale - self.transform().m11()) > 1e-9:
            factor = scale / self.transform().m11()
            self.scale(factor, factor)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if self._is_fitted:
            self.fit()

    def wheelEvent(self, event: QWheelEvent) -> None:
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self.zoom(1.0015 ** event.angleDelta().y())
            event.accept()
        else:
            super().wheelEvent(event)

    def viewportEvent(self, event: QEvent) -> bool:
        if isinstance(event, QNativeGestureEvent) and event.gestureType() == Qt.NativeGestureType.ZoomNativeGesture:
            self.zoom(1 + event.value())
            return True
        if event.type() == QEvent.Type.Leave:
            self._light(None)
        return super().viewportEvent(event)

    # -- pointer -------------------------------------------------------------------------------------------------------

    def mark_at(self, point: QPoint) -> Mark | None:
        """Return the topmost mark at a point of the viewport, or None."""
        for item in self.items(point):
            if isinstance(item, Mark):
                return item
        return None

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self._press = event.position().toPoint()
        self._is_panning = False
        self.setFocus(Qt.FocusReason.MouseFocusReason)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        point = self._pointer = event.position().toPoint()
        if self._press is None or not event.buttons():
            self._light(self.mark_at(point))
            return
        step = point - self._press
        if not self._is_panning and step.manhattanLength() < QApplication.startDragDistance():
            return
        self._is_panning = True
        self._light(None)
        self.viewport().setCursor(Qt.CursorShape.ClosedHandCursor)
        self.horizontalScrollBar().setValue(self.horizontalScrollBar().value() - step.x())
        self.verticalScrollBar().setValue(self.verticalScrollBar().value() - step.y())
        self._press = point

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        was_panning, self._press, self._is_panning = self._is_panning, None, False
        point = event.position().toPoint()
        if was_panning:
            self._light(self.mark_at(point))
            return
        mark = self.mark_at(point)
        if event.button() == Qt.MouseButton.LeftButton:
            if isinstance(mark, NodeItem):
                self._go(mark, by_keyboard=False)
            self.chosen.emit(mark)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        if self.mark_at(event.position().toPoint()) is None:
            self.fit()
        else:
            self.mousePressEvent(event)

    def _light(self, mark: Mark | None) -> None:
        if mark is self._lit:
            return
        for other, state in ((self._lit, False), (mark, True)):
            if other is not None:
                other.set_state("lit", state)
        self._lit = mark
        self.viewport().setCursor(Qt.CursorShape.ArrowCursor if mark is None else Qt.CursorShape.PointingHandCursor)
        self.pointed.emit(mark)

    # -- keyboard ------------------------------------------------------------------------------------------------------

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key, is_shifted = event.key(), bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        if key in (Qt.Key.Key_Up, Qt.Key.Key_Down) and is_shifted and self._focused is not None:
            self.stepped.emit(self._focused, 1 if key == Qt.Key.Key_Up else -1)
        elif key in _ARROWS:
            self._walk(_ARROWS[Qt.Key(key)])
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space) and self._focused is not None:
            self.chosen.emit(self._focused)
        elif key in (Qt.Key.Key_Plus, Qt.Key.Key_Equal, Qt.Key.Key_Minus):
            self.zoom(1 / 1.2 if key == Qt.Key.Key_Minus else 1.2)
        elif key == Qt.Key.Key_0:
            self.fit()
        elif key == Qt.Key.Key_Escape and self._focused is not None:
            self._go(None)
        else:
            super().keyPressEvent(event)

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        if event.reason() in (Qt.FocusReason.TabFocusReason, Qt.FocusReason.BacktabFocusReason):
            self._go(self._focused or self._first())
        elif self._focused is not None:
            self._focused.set_state("focused", True)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        if self._focused is not None:
            self._focused.set_state("focused", False)
            self.pointed.emit(self._lit)

    def _stops(self) -> list[Mark]:
        """Return the marks that the keyboard can reach: boxes."""
        return [mark for mark in self._marks if isinstance(mark, NodeItem)]

    def _first(self) -> Mark | None:
        return max(self._stops(), key=lambda mark: mark.rect.center().y(), default=None)

    def _walk(self, way: QPointF) -> None:
        """Move the focus to the nearest box in a direction, preferring boxes nearly straight ahead."""
        if self._focused is None:
            self._go(self._first())
            return
        here = self._focused.rect.center()

        def distance(mark: Mark) -> tuple[bool, float]:
            step = mark.rect.center() - here
            along = step.x() * way.x() + step.y() * way.y()
            aside = abs(step.x() * way.y()) + abs(step.y() * way.x())
            return aside > along, along + 2 * aside if along > 2 else float("inf")

        best = min(self._stops(), key=distance, default=None)
        if best is not None and distance(best)[1] < float("inf"):
            self._go(best)

    def _go(self, mark: Mark | None, *, by_keyboard: bool = True) -> None:
        if self._focused is not None:
            self._focused.set_state("focused", False)
        self._focused = mark
        if mark is not None:
            mark.set_state("focused", self.hasFocus())
            if by_keyboard:
                self.ensureVisible(mark.sceneBoundingRect(), 20, 20)
            part = mark.part
            self.setAccessibleDescription(f"{part.title} {part.detail}. {part.meaning}")
        if by_keyboard:
            self.pointed.emit(mark)


def _bar(is_needed: bool) -> Qt.ScrollBarPolicy:
    return Qt.ScrollBarPolicy.ScrollBarAlwaysOn if is_needed else Qt.ScrollBarPolicy.ScrollBarAlwaysOff
