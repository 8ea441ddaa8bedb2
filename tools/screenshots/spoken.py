"""What a screen reader is told of a window: a line for each widget, as Qt's accessible interfaces describe it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator

from PySide6.QtCore import QObject
from PySide6.QtGui import QAccessible, QAccessibleInterface
from PySide6.QtWidgets import QWidget
from shiboken6 import Shiboken

from terrarium.app.kit.layout.tab_order import tab_stops

Role = QAccessible.Role

_STATES = (
    "disabled",
    "focused",
    "checked",
    "checkStateMixed",
    "pressed",
    "selected",
    "expanded",
    "collapsed",
    "readOnly",
    "hasPopup",
    "busy",
    "invalid",
    "defaultButton",
)
"""What is told of the state, in this order. `focusable` is told by the place in the tab order."""
_STRUCTURE = {Role.Client, Role.Pane, Role.LayeredPane, Role.Grouping, Role.Border, Role.Window, Role.Splitter}
"""Roles that only hold others together; without a name, screen readers pass over them."""
_MACHINERY = {Role.ScrollBar, Role.Grip, Role.Separator}
"""Roles that tell nothing of their own, and that the keyboard does not lead to."""
_TELL_CHOICE = {Role.ComboBox, Role.PageTabList}
"""Roles for which Qt, on Linux, tells what is chosen as their name."""
_IS_LABEL = QAccessible.RelationFlag.Label
_MAX_ITEMS = 30
"""Items of a list, and cells of a table, that are told; the rest is counted."""
_ITEMS = {Role.ListItem, Role.TreeItem, Role.Cell, Role.RowHeader}


@dataclasses.dataclass(frozen=True)
class Spoken:
    """What is told of one widget, or of one item in it.

    Args:
        depth: how many others that are told it lies within.
        tab: its place in the tab order of the window, from 1; 0 if Tab does not lead to it.
        widget: None for an item.
    """

    depth: int
    role: QAccessible.Role
    name: str
    value: str
    description: str
    states: tuple[str, ...]
    tab: int
    widget: QWidget | None

    def __str__(self) -> str:
        parts = [self.role.name, _quoted(self.name)]
        if self.value and self.value != self.name:
            parts.append(f"value {_quoted(self.value)}")
        if self.description:
            parts.append(f"description {_quoted(self.description)}")
        if self.states:
            parts.append(f"({', '.join(self.states)})")
        if self.tab:
            parts.append(f"tab {self.tab}")
        return "  " * self.depth + " ".join(parts)


def spoken(window: QWidget) -> Iterator[Spoken]:
    """Yield what is told of the visible parts of a window, in the order in which a screen reader gets it."""
    widgets = {_address(widget): widget for widget in (window, *window.findChildren(QWidget))}
    stops = {_address(stop): place for place, stop in enumerate(tab_stops(window), start=1)}
    interface = QAccessible.queryAccessibleInterface(window)
    assert interface is not None
    yield from _told(interface, 0, widgets, stops)


def written(window: QWidget) -> str:
    """Return these lines as a text."""
    return "".join(f"{each}\n" for each in spoken(window))


def _told(
    interface: QAccessibleInterface, depth: int, widgets: dict[int, QWidget], stops: dict[int, int]
) -> Iterator[Spoken]:
    """widgets, stops: by their addresses, because nothing owns the wrapper that an interface returns: with it would go
    those of the widgets that it is then asked for."""
    state, role = interface.state(), interface.role()
    if state.invisible or role in _MACHINERY:
        return
    told = interface.object()
    address = _address(told) if told is not None else 0
    widget = widgets.get(address)
    each = Spoken(
        depth=depth,
        role=role,
        name=_name(interface, widget),
        value=interface.text(QAccessible.Text.Value),
        description=interface.text(QAccessible.Text.Description),
        states=tuple(name for name in _STATES if getattr(state, name)),
        tab=stops.get(address, 0),
        widget=widget,
    )
    if role not in _STRUCTURE or each.name or each.tab:
        yield each
        depth += 1
    n_items = 0
    for index in range(interface.childCount()):
        child = interface.child(index)
        if child is None:
            continue
        n_items += child.role() in _ITEMS
        if n_items <= _MAX_ITEMS or child.role() not in _ITEMS:
            yield from _told(child, depth, widgets, stops)


def _name(interface: QAccessibleInterface, widget: QWidget | None) -> str:
    """Its own name, its label's, or what Qt makes of its text."""
    own = widget.accessibleName() if widget is not None else ""
    labels = (of.text(QAccessible.Text.Name) for of, flag in interface.relations() if flag == _IS_LABEL)
    named = own or " ".join(labels)
    return named if named or interface.role() in _TELL_CHOICE else interface.text(QAccessible.Text.Name)


def _address(thing: QObject) -> int:
    return int(Shiboken.getCppPointer(thing)[0])


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
