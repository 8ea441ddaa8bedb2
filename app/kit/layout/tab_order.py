"""The tab order of widgets that are made later, which Qt puts last."""

from __future__ import annotations

import itertools

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget


def stops_in(parent: QWidget) -> list[QWidget]:
    """The tab stops within a widget, in order."""
    inside: list[QWidget] = []
    # The chain leads through the whole window: it need not be followed once all that is within has been met.
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
    """Put these after `before` in the tab order, except for widgets that are not in the same window yet."""
    for one, next_one in itertools.pairwise([before, *stops]):
        if QWidget.window(one) is QWidget.window(next_one):  # some widgets override window()
            QWidget.setTabOrder(one, next_one)
