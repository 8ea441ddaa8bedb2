"""Redo a widget's layout whenever its size, or that of its contents, changes."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, QObject
from PySide6.QtWidgets import QBoxLayout, QWidget

from terrarium.app.kit.theme import ThemeProvider


class RelayoutOnResize(QObject):
    """Calls `arrange` when `widget` is resized or its contents request a new layout, as after a change of text size."""

    def __init__(self, widget: QWidget, arrange: Callable[[], object]) -> None:
        super().__init__(widget)
        self._arrange = arrange
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() in (QEvent.Type.Resize, QEvent.Type.LayoutRequest):
            self._arrange()
        return False


class SideBySide(RelayoutOnResize):
    """Lays the parts of a widget out side by side if it is at least `wide` pixels wide (scaled with the text size), and
    in a column otherwise."""

    def __init__(self, widget: QWidget, parts: QBoxLayout, theme: ThemeProvider, wide: int) -> None:
        def arrange() -> None:
            is_wide = widget.width() >= wide * theme.text_scale
            across = QBoxLayout.Direction.LeftToRight if is_wide else QBoxLayout.Direction.TopToBottom
            if parts.direction() != across:
                parts.setDirection(across)

        super().__init__(widget, arrange)
