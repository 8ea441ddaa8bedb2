"""The parts common to the tables of all screens."""

from __future__ import annotations

from PySide6.QtWidgets import QAbstractItemView, QTableView


def plain_table(table: QTableView, name: str) -> None:
    """Style a table inside a card: no grid, no row headers, selection of whole rows. name: for screen readers."""
    table.setProperty("role", "plain")
    table.setAccessibleName(name)
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    table.setShowGrid(False)
    table.setTabKeyNavigation(False)  # Tab moves to the next widget
    table.verticalHeader().hide()
    table.horizontalHeader().setHighlightSections(False)
