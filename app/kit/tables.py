"""The parts common to the tables of all screens."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractItemView, QTableView, QTableWidget, QTableWidgetItem

from terrarium.app.kit.basics import plain_tip


def plain_table(table: QTableView, name: str) -> None:
    """Style a table inside a card: no grid, no row headers, selection of whole rows. name: for screen readers."""
    table.setProperty("role", "plain")
    table.setAccessibleName(name)
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    table.setShowGrid(False)
    table.setTabKeyNavigation(False)  # Tab moves to the next widget
    table.verticalHeader().hide()
    table.horizontalHeader().setHighlightSections(False)


def text_table(name: str, *, selects_rows: bool = False) -> QTableWidget:
    """Create a table of texts to read, one line each. name: for screen readers. selects_rows: one at a time."""
    table = QTableWidget()
    table.setAccessibleName(name)
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    if selects_rows:
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
    table.setTabKeyNavigation(False)  # Tab moves to the next widget
    table.setAlternatingRowColors(True)
    table.setShowGrid(False)
    table.setWordWrap(False)
    table.verticalHeader().hide()
    table.horizontalHeader().setStretchLastSection(True)
    table.horizontalHeader().setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
    return table


def fill_table(table: QTableWidget, titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Replace the contents of a table of texts; each cell has its whole text as its tooltip."""
    table.clear()
    table.setRowCount(len(rows))
    table.setColumnCount(len(titles))
    table.setHorizontalHeaderLabels(list(titles))
    for at, texts in enumerate(rows):
        for i, text in enumerate(texts):
            item = QTableWidgetItem(text.replace("\n", " ⏎ "))
            item.setToolTip(plain_tip(text))
            table.setItem(at, i, item)
