"""Bring a widget into view: unfold, unhide and scroll everything that hides it."""

from __future__ import annotations

from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QScrollArea, QWidget

from terrarium.app.kit.layout.advanced_settings import show_extras_around
from terrarium.app.kit.layout.section import Section

_MARGIN = 24
"""The vertical margin in pixels that stays visible around the widget."""


def reveal(widget: QWidget, *, focus: bool = True) -> None:
    """Show and unfold the ancestors of a widget, scroll to its card and to it, and focus it if `focus`."""
    show_extras_around(widget)
    areas, whole, parent = list[tuple[QScrollArea, QWidget]](), widget, widget.parentWidget()
    while parent is not None:
        if isinstance(parent, Section):
            parent.set_folded(False)
        elif isinstance(parent, QScrollArea):
            areas.append((parent, whole))
        elif parent.property("role") == "card":
            whole = parent
        parent = parent.parentWidget()
    if focus and widget.focusPolicy() & Qt.FocusPolicy.TabFocus:
        widget.setFocus(Qt.FocusReason.OtherFocusReason)

    def scroll() -> None:
        for area, card in areas:
            for each in (card, widget):  # a card may be too high for the area
                area.ensureWidgetVisible(each, 0, _MARGIN)

    QTimer.singleShot(0, widget, scroll)  # after the layout has been updated
