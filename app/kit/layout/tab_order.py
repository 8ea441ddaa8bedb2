"""In which order Tab goes: what is made later comes last by itself, wherever it stands."""

from __future__ import annotations

import itertools

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget


def stops_in(place: QWidget) -> list[QWidget]:
    """What Tab stops at within a place, in the order in which it does."""
    inside: list[QWidget] = []
    widget = place.nextInFocusChain()
    while widget is not None and widget is not place:
        if place.isAncestorOf(widget) and widget.focusPolicy() & Qt.FocusPolicy.TabFocus:
            inside.append(widget)
        widget = widget.nextInFocusChain()
    return inside


def put_after(before: QWidget, *stops: QWidget) -> None:
    """Let Tab go from `before` to these, one after the other; not where they are in another window as yet."""
    for one, next_one in itertools.pairwise([before, *stops]):
        if QWidget.window(one) is QWidget.window(next_one):  # some widgets call another thing their window
            QWidget.setTabOrder(one, next_one)
