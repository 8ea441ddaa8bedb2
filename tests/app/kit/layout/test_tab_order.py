"""The tab stops of a page, and where they come in the tab order of its window."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QLineEdit, QPushButton, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from terrarium.app.kit.basics import column
from terrarium.app.kit.layout.tab_order import put_after, stops_in


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
    assert outside.nextInFocusChain() is second
    assert second.nextInFocusChain() is first
