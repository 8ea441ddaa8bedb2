"""Widgets that are painted only while needed, but keep their space and stay accessible by keyboard."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGraphicsOpacityEffect, QWidget


class Discreet:
    """Shows some widgets while at least one of three conditions is true: always shown, hovered, or focused.

    Otherwise they are not painted, and the mouse goes through them. They stay visible to Qt, so nothing moves, Tab
    reaches them, and a screen reader reads them.
    """

    def __init__(self, *widgets: QWidget) -> None:
        self._widgets = [(widget, QGraphicsOpacityEffect(widget)) for widget in widgets]
        self._is_kept, self._is_hovered, self._is_focused = True, False, False
        for widget, effect in self._widgets:
            effect.setOpacity(0.0)
            effect.setEnabled(False)
            widget.setGraphicsEffect(effect)

    @property
    def is_seen(self) -> bool:
        """Whether the widgets are painted."""
        return self._is_kept or self._is_hovered or self._is_focused

    def set_kept(self, kept: bool) -> None:
        """Set whether the widgets are always painted."""
        self._is_kept = kept
        self._update()

    def set_hovered(self, hovered: bool) -> None:
        """Set whether the pointer is near them."""
        self._is_hovered = hovered
        self._update()

    def set_focused(self, focused: bool) -> None:
        """Set whether the keyboard focus is near them."""
        self._is_focused = focused
        self._update()

    def _update(self) -> None:
        for widget, effect in self._widgets:
            effect.setEnabled(not self.is_seen)
            widget.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents, not self.is_seen)
