"""A table ends below a whole row, whatever height it is given."""

from __future__ import annotations

from PySide6.QtWidgets import QTableWidget, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from terrarium.app.kit.basics import label, scrolling
from terrarium.app.kit.layout.relayout import WholeRows
from terrarium.app.kit.theme import ThemeProvider


def test_a_table_ends_below_a_whole_row(qtbot: QtBot, theme: ThemeProvider) -> None:
    table = QTableWidget(40, 2)
    box = WholeRows(table)
    qtbot.addWidget(box)
    theme.apply_theme(box)
    box.show()
    row = table.rowHeight(0)
    for height in (300, 311, 327, 240):
        box.resize(400, height)
        qtbot.waitUntil(lambda: table.viewport().height() % row == 0)
        assert 0 <= box.height() - table.height() < row
    table.setRowCount(2)
    qtbot.waitUntil(lambda: table.height() == box.height())
    table.setRowCount(40)
    qtbot.waitUntil(lambda: table.viewport().height() % row == 0)


def test_the_fewest_rows_that_a_table_asks_for_are_kept(qtbot: QtBot, theme: ThemeProvider) -> None:
    table = QTableWidget(40, 2)
    table.setMinimumHeight(210)
    box = WholeRows(table)
    qtbot.addWidget(box)
    assert box.minimumSizeHint().height() == 210


def test_a_page_that_is_as_high_as_its_table_asks_for_comes_to_rest(qtbot: QtBot, theme: ThemeProvider) -> None:
    table = QTableWidget(40, 2)
    page = QWidget()
    lines = QVBoxLayout(page)
    lines.addWidget(label("The words above the table. " * 20, wrap=True))
    lines.addWidget(WholeRows(table), 1)
    area = scrolling(page)
    qtbot.addWidget(area)
    theme.apply_theme(area)
    area.resize(400, 200)
    area.show()
    heights = [table.rowHeight(0)]
    for _ in range(20):
        qtbot.wait(1)
        heights.append(page.height())
    assert len(set(heights[-10:])) == 1, heights
    assert table.viewport().height() % table.rowHeight(0) == 0
