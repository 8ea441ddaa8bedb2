"""Arranging a widget anew whenever its size, or that of what is in it, has changed."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, QObject
from PySide6.QtWidgets import QWidget


class Refit(QObject):
    """Calls `arrange` when `widget` is resized, and when its contents need another size, as with another text size."""

    def __init__(self, widget: QWidget, arrange: Callable[[], object]) -> None:
        super().__init__(widget)
        self._arrange = arrange
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() in (QEvent.Type.Resize, QEvent.Type.LayoutRequest):
            self._arrange()
        return False
