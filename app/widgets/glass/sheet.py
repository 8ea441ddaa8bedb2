"""Widgets one above the other as one picture, whole: for export, where on screen one of them scrolls."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, QPoint
from PySide6.QtGui import QPainter, QPaintEvent, QRegion
from PySide6.QtWidgets import QWidget

from app.theme import SPACE


class Sheet(QWidget):
    """Draws other widgets, as they are just now; never shown itself."""

    def __init__(self, *widgets: QWidget, parent: QWidget) -> None:
        super().__init__(parent)
        self._widgets = widgets
        self.hide()
        for widget in widgets:
            widget.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() in (QEvent.Type.Resize, QEvent.Type.Show, QEvent.Type.Hide):
            self.resize(
                max(widget.width() for widget in self._widgets),
                sum(widget.height() + SPACE for widget in self._widgets),
            )
        return False

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        y = 0
        for widget in self._widgets:
            widget.render(painter, QPoint(0, y), QRegion(), QWidget.RenderFlag.DrawChildren)
            y += widget.height() + SPACE
