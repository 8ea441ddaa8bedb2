"""The tab stops of a page, and where they come in the tab order of its window."""

from __future__ import annotations

import gc
from collections.abc import Callable

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QLineEdit,
    QPushButton,
    QScrollArea,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)
from pytestqt.qtbot import QtBot
from shiboken6 import Shiboken

from terrarium.app.kit.basics import column
from terrarium.app.kit.layout.tab_order import move_focus, put_after, stops_in, tab_stops
from tools.screenshots.spoken import spoken


def spoken_widgets(window: QWidget) -> list[list[QWidget]]:
    """What lies in each widget that is spoken."""
    return [each.widget.findChildren(QWidget) for each in spoken(window) if each.widget is not None]


def walk(window: QWidget) -> None:
    """Go to each of the four tab stops, and back to the first."""
    for _ in range(5):
        move_focus(window, forward=True)


def test_the_stops_within_in_their_order(qtbot: QtBot) -> None:
    window, page = QWidget(), QWidget()
    qtbot.addWidget(window)
    first, second, third, outside = (QPushButton(name) for name in ("first", "second", "third", "outside"))
    third.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
    inner = QWidget()
    inner.setLayout(column(second, third))
    page.setLayout(column(first, inner))
    lines = QVBoxLayout(window)
    for widget in (page, outside):
        lines.addWidget(widget)
    dialog = QDialog(page)
    dialog.setLayout(column(QLineEdit()))
    assert stops_in(page) == [first, second], "no click-only ones, none beside it, none of its dialogs"
    QWidget.setTabOrder(second, outside)
    QWidget.setTabOrder(outside, first)
    assert stops_in(page) == [second, first], "also where others come between"
    put_after(outside, *stops_in(page))
    assert stops_in(window) == [outside, second, first]


@pytest.mark.parametrize("ask", [tab_stops, stops_in, walk, spoken_widgets])
def test_asking_for_the_order_leaves_all_widgets_with_their_owners(
    qtbot: QtBot, ask: Callable[[QWidget], object]
) -> None:
    window, gone, seed, area, inner = QWidget(), QPushButton("gone"), QSpinBox(), QScrollArea(), QWidget()
    choice = QComboBox(editable=True)
    inner.setLayout(column(choice))
    area.setWidget(inner)
    window.setLayout(column(gone, seed, area))
    qtbot.addWidget(window)
    window.show()
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    fields = [seed.findChild(QLineEdit), choice.lineEdit()]  # made by Qt, as the viewport that the latter lies in
    ask(window)
    assert Shiboken.ownedByPython(window)
    gone.setParent(None)
    del gone
    gc.collect()
    assert all(map(Shiboken.isValid, fields))
