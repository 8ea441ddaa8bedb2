"""The tab stops of a page, and where they come in the tab order of its window."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QLineEdit, QMainWindow, QPushButton, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot
from shiboken6 import delete, isValid

from app.kit.basics import column
from app.kit.layout.tab_order import put_after, stops_in


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


def test_what_is_in_the_chain_outlives_what_is_before_it(qtbot: QtBot) -> None:
    window, page = QMainWindow(), QWidget()
    qtbot.addWidget(window)
    bar = window.menuBar()
    entry = bar.addMenu("File").addAction("Open")
    fields = [QLineEdit(), QLineEdit()]
    page.setLayout(column(*fields))
    window.setCentralWidget(page)
    QWidget.setTabOrder(fields[1], page)  # so that the chain leads through the window on the way
    assert fields[1] in stops_in(page)
    assert stops_in(window)
    for each in fields:
        delete(each)
    assert isValid(bar), "the menu bar is still the window's"
    assert isValid(entry)
    assert isValid(page)
    assert window.menuBar() is bar
