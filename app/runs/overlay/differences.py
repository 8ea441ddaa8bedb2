"""A table of runs, with columns for their results and for every setting in which they differ."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from typing import Any

from PySide6.QtCore import (
    QAbstractTableModel,
    QModelIndex,
    QPersistentModelIndex,
    QSortFilterProxyModel,
    Qt,
    Signal,
    Slot,
)
from PySide6.QtGui import QFontMetrics, QGuiApplication, QIcon, QKeySequence, QShortcut
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableView, QWidget

from terrarium.app.kit.basics import button, column, label, plain_tip, row, titled_card
from terrarium.app.kit.inputs import named
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.runs.overlay.comparison import RunComparison, compare_runs
from terrarium.app.worker.background import LatestTask
from terrarium.models.library.library import RunInfo
from terrarium.models.number_words import format_count

Index = QModelIndex | QPersistentModelIndex
_SORT = Qt.ItemDataRole.UserRole
_WIDEST = 220  # pixels of a column
_ICON = 24


class RunDifferences(QWidget):
    """Shows how runs differ, read in the background; a click on a column header sorts by it.

    Signals:
        opened(run_id): double-click or Return on a row.
    """

    opened = Signal(str)

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._model = _Model(self)
        self._sorted = QSortFilterProxyModel(self)
        self._sorted.setSourceModel(self._model)
        self._sorted.setSortRole(_SORT)
        self.table = named(QTableView(), "Differences between the runs")
        self.table.setModel(self._sorted)
        self.table.setProperty("role", "plain")
        self.table.setSortingEnabled(True)
        self.table.sortByColumn(-1, Qt.SortOrder.AscendingOrder)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setShowGrid(False)
        self.table.setCornerButtonEnabled(False)
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self.table.horizontalHeader().setHighlightSections(False)
        self.table.setWordWrap(False)
        self.table.setTextElideMode(Qt.TextElideMode.ElideMiddle)  # names of a sweep's runs differ at their ends
        self.table.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.table.activated.connect(self._on_activated)
        self.note = label("", "caption")
        self.copy = button("CSV", theme, self.copy_csv, icon="copy", role="quiet", tip="Copy the table (Ctrl+C)")
        self.copy.setAccessibleName("Copy the table as CSV")
        QShortcut(QKeySequence(QKeySequence.StandardKey.Copy), self.table, self.copy_csv).setContext(
            Qt.ShortcutContext.WidgetShortcut
        )
        trailing = QWidget()
        trailing.setLayout(row(self.note, self.copy))
        self.setLayout(column(titled_card("Differences", self.table, trailing=trailing)))
        self._reading = LatestTask(self)
        self._reading.done.connect(self._on_read)
        theme.theme_changed.connect(self._fit)

    def show_runs(self, runs: Sequence[RunInfo], icon_of: Callable[[str], QIcon] | None = None) -> None:
        """Compare these runs. icon_of: returns the icon of a run id."""
        wanted = list(runs)
        self._model.icon_of = icon_of
        self._reading.ask(lambda: compare_runs(wanted))

    @property
    def comparison(self) -> RunComparison:
        """The comparison that is shown."""
        return self._model.comparison

    def as_csv(self) -> str:
        """Return the table as CSV, with a header row, in the current order."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        shown, columns = self._sorted, range(self._sorted.columnCount())
        horizontal = Qt.Orientation.Horizontal
        writer.writerow([shown.headerData(number, horizontal) for number in columns])
        for line in range(shown.rowCount()):
            writer.writerow([shown.index(line, number).data() for number in columns])
        return out.getvalue()

    @Slot()
    def copy_csv(self) -> None:
        """Copy the table to the clipboard as CSV."""
        QGuiApplication.clipboard().setText(self.as_csv())

    @Slot(object)
    def _on_read(self, comparison: RunComparison) -> None:
        if comparison == self._model.comparison:
            return
        self._model.show(comparison)
        n = sum(one.is_setting for one in comparison.columns)
        verb = "is" if comparison.n_alike == 1 else "are"
        alike = f"{format_count(comparison.n_alike, 'setting')} {verb} the same in all."
        differ = f"{format_count(n, 'setting')} {'differs' if n == 1 else 'differ'}"
        self.note.setText(f"{differ}; {alike}" if n else f"All {alike}")
        self._fit()

    @Slot()
    def _fit(self) -> None:
        """Fit columns by measuring the texts only: Qt's own resizing is slow with 200 runs."""
        cells, heads = QFontMetrics(self._theme.font()), QFontMetrics(self._theme.font(0.9, bold=True))
        shown = self.comparison
        words = [("Run", tuple(run.name for run in shown.runs)), *((one.label, one.cells) for one in shown.columns)]
        for number, (head, texts) in enumerate(words):
            width = max([heads.horizontalAdvance(head), *map(cells.horizontalAdvance, set(texts))])
            self.table.setColumnWidth(number, min(width + (_ICON if not number else 0) + 4 * SPACE, _WIDEST))

    @Slot(QModelIndex)
    def _on_activated(self, index: QModelIndex) -> None:
        self.opened.emit(self._model.comparison.runs[self._sorted.mapToSource(index).row()].id)


class _Model(QAbstractTableModel):
    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.comparison = RunComparison((), (), 0)
        self._is_number: list[bool] = []
        self.icon_of: Callable[[str], QIcon] | None = None

    def show(self, comparison: RunComparison) -> None:
        self.beginResetModel()
        self.comparison = comparison
        self._is_number = [all(map(_is_number_or_none, column.keys)) for column in comparison.columns]
        self.endResetModel()

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self.comparison.runs)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else 1 + len(self.comparison.columns)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return Qt.AlignmentFlag.AlignVCenter | (Qt.AlignmentFlag.AlignLeft if not section else self._side(section))
        column = self.comparison.columns[section - 1] if section else None
        if role == Qt.ItemDataRole.ToolTipRole:
            return plain_tip(column.tip) if column is not None else "The run"
        if role == Qt.ItemDataRole.DisplayRole:
            return column.label if column is not None else "Run"
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        row, run = index.row(), self.comparison.runs[index.row()]
        if index.column() == 0:
            if role == Qt.ItemDataRole.DecorationRole:
                return self.icon_of(run.id) if self.icon_of is not None else None
            if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole):
                return run.name if role == Qt.ItemDataRole.DisplayRole else plain_tip(run.name)
            return run.name.casefold() if role == _SORT else None
        column = self.comparison.columns[index.column() - 1]
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole):
            return column.cells[row] if role == Qt.ItemDataRole.DisplayRole else plain_tip(column.cells[row])
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return Qt.AlignmentFlag.AlignVCenter | self._side(index.column())
        if role == _SORT:
            key = column.keys[row]
            return key if self._is_number[index.column() - 1] else column.cells[row]
        return None

    def _side(self, column: int) -> Qt.AlignmentFlag:
        """Return the horizontal alignment of a column: right for numbers."""
        return Qt.AlignmentFlag.AlignRight if self._is_number[column - 1] else Qt.AlignmentFlag.AlignLeft


def _is_number_or_none(key: object) -> bool:
    return key is None or (isinstance(key, int | float) and not isinstance(key, bool))
