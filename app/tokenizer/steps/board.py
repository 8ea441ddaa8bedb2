"""The scroll area of a drawing: follows the step, and describes the item under the pointer."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, QSizeF, Qt, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QAbstractScrollArea, QFrame, QWidget

from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.tokenizer.steps.drawing import Drawing

_WALKS = (Qt.Key.Key_Left, Qt.Key.Key_Right, Qt.Key.Key_Home, Qt.Key.Key_End, Qt.Key.Key_Space)


class Board(QAbstractScrollArea):
    """Shows the visible part of a Drawing at one step, and below it the drawing's band, which is always visible.

    Signals:
        pointed_at_changed(str): the description of the item under the pointer, "" for none.
    """

    pointed_at_changed = Signal(str)

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self.drawing: Drawing | None = None
        self._step, self._pointed = 0, -1
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("Steps")
        self.viewport().setMouseTracking(True)

    def show_drawing(self, drawing: Drawing | None, step: int) -> None:
        """Show another drawing, scrolled to its start."""
        self.drawing, self._step = drawing, step
        self._point_at(-1)
        self._fit_bars()
        self.horizontalScrollBar().setValue(0)
        self.verticalScrollBar().setValue(0)
        self.viewport().update()

    def replace_drawing(self, drawing: Drawing) -> None:
        """Show the same drawing with other colours or more facts."""
        self.drawing = drawing
        self._fit_bars()
        self.viewport().update()

    def set_step(self, step: int) -> None:
        """Show another step, and scroll to it."""
        self._step = step
        self._point_at(-1)
        self._fit_bars()
        self._follow()

    def sizeHint(self) -> QSize:
        return QSize(640, 360)

    def minimumSizeHint(self) -> QSize:
        return QSize(260, 160)

    @property
    def offset(self) -> QPointF:
        return QPointF(self.horizontalScrollBar().value(), self.verticalScrollBar().value())

    @property
    def _room(self) -> QSizeF:
        """The size of the area above the band."""
        assert self.drawing is not None
        size = self.viewport().size()
        return QSizeF(size.width(), max(size.height() - self.drawing.band_height, 40))

    def _fit_bars(self) -> None:
        if self.drawing is None:
            return
        room = self._room
        self.drawing.fit(room.height())
        size = self.drawing.size(self._step)
        for bar, there, seen in (
            (self.horizontalScrollBar(), size.width(), room.width()),
            (self.verticalScrollBar(), size.height(), room.height()),
        ):
            bar.setRange(0, max(0, round(there - seen)))
            bar.setPageStep(round(seen))
            bar.setSingleStep(30)

    def _follow(self) -> None:
        if self.drawing is not None:
            wanted, room = self.drawing.focus(self._step), self._room
            for bar, low, high, seen in (
                (self.horizontalScrollBar(), wanted.left(), wanted.right(), room.width()),
                (self.verticalScrollBar(), wanted.top(), wanted.bottom(), room.height()),
            ):
                if high > bar.value() + seen:
                    bar.setValue(round(high - seen))
                if low < bar.value():
                    bar.setValue(round(low))
        self.viewport().update()

    def paintEvent(self, event: QPaintEvent) -> None:
        if self.drawing is None:
            return
        colors, room, offset = self._theme.theme, self._room, self.offset
        painter = QPainter(self.viewport())
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.save()
        painter.setClipRect(QRectF(0, 0, room.width(), room.height()))
        painter.translate(-offset)
        self.drawing.paint(painter, QRectF(offset, room), self._step, self._pointed)
        painter.restore()
        painter.fillRect(
            QRectF(0, room.height(), room.width(), self.viewport().height() - room.height()), colors.color("sunken")
        )
        painter.translate(-offset.x(), room.height())
        self.drawing.paint_band(painter, self._step, offset.x(), offset.x() + room.width())
        painter.end()

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._fit_bars()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self.drawing is not None:
            inside = event.position().y() < self._room.height()
            self._point_at(self.drawing.at(event.position() + self.offset, self._step) if inside else -1)

    def viewportEvent(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Leave:
            self._point_at(-1)
        return super().viewportEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in _WALKS:
            event.ignore()  # these keys step through the word, which the parent handles
        else:
            super().keyPressEvent(event)

    def _point_at(self, what: int) -> None:
        if what != self._pointed:
            self._pointed = what
            self.pointed_at_changed.emit(self.drawing.facts(what) if what >= 0 and self.drawing is not None else "")
            self.viewport().update()
