"""A table ends below a whole row, whatever height it is given."""

from __future__ import annotations

from PySide6.QtWidgets import QTableWidget
from pytestqt.qtbot import QtBot

from app.kit.layout.whole_rows import WholeRows
from app.kit.theme import ThemeProvider


def test_a_table_ends_below_a_whole_row(qtbot: QtBot, theme: ThemeProvider) -> None:
    table = QTableWidget(40, 2)
    box = WholeRows(table)
    qtbot.addWidget(box)
    theme.dress(box)
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
