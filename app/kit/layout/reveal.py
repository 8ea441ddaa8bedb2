"""Bringing a widget into view, whatever hides it."""

from __future__ import annotations

from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QScrollArea, QWidget

from terrarium.app.kit.layout.advanced_settings import show_extras_around
from terrarium.app.kit.layout.section import Section

_MARGIN = 24
"""Pixels that stay visible above and below."""


def reveal(widget: QWidget, *, focus: bool = True) -> None:
    """Show and unfold what contains a widget, scroll to it and to its card, and give it the `focus`."""
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

    QTimer.singleShot(0, widget, scroll)  # the layout has been updated by then
