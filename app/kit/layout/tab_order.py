"""The tab order of widgets created later, which Qt appends at the end."""

from __future__ import annotations

import itertools

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget


def stops_in(parent: QWidget) -> list[QWidget]:
    """Return the tab stops inside a widget, in tab order."""
    inside: list[QWidget] = []
    # The focus chain spans the whole window: stop once all descendants have been found.
    left = sum(parent.isAncestorOf(child) for child in parent.findChildren(QWidget))
    widget = parent.nextInFocusChain()
    while left and widget is not None and widget is not parent:
        if parent.isAncestorOf(widget):
            left -= 1
            if widget.focusPolicy() & Qt.FocusPolicy.TabFocus:
                inside.append(widget)
        widget = widget.nextInFocusChain()
    return inside


def put_after(before: QWidget, *stops: QWidget) -> None:
    """Put `stops` after `before` in the tab order, except for widgets that are not in the same window yet."""
    for one, next_one in itertools.pairwise([before, *stops]):
        if QWidget.window(one) is QWidget.window(next_one):  # some widgets override window()
            QWidget.setTabOrder(one, next_one)
