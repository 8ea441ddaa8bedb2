"""A table of runs, with columns for their results and for every setting in which they differ."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QFontMetrics, QGuiApplication, QIcon, QKeySequence, QShortcut
from PySide6.QtWidgets import QHeaderView, QWidget

from terrarium.app.kit.basics import button, column, label, row, titled_card
from terrarium.app.kit.record_table import Column, RecordTable
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.runs.overlay.comparison import ComparedColumn, RunComparison, compare_runs
from terrarium.app.worker.background import LatestTask
from terrarium.models.library.library import RunInfo
from terrarium.models.number_words import format_count

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
        self._comparison = RunComparison((), (), 0)
        self._icon_of: Callable[[str], QIcon] | None = None
        self.table = RecordTable("Differences between the runs", theme, has_many=True)
        self.table.horizontalHeader().setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        self.table.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self.table.setTextElideMode(Qt.TextElideMode.ElideMiddle)  # names of a sweep's runs differ at their ends
        self.table.record_activated.connect(lambda at: self.opened.emit(self.comparison.runs[at].id))
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
        self._icon_of = icon_of
        self._reading.ask(lambda: compare_runs(wanted))

    @property
    def comparison(self) -> RunComparison:
        """The comparison that is shown."""
        return self._comparison

    def as_csv(self) -> str:
        """Return the table as CSV, with a header row, in the current order."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow([each.title for each in self.table.columns])
        writer.writerows(self.table.texts())
        return out.getvalue()

    @Slot()
    def copy_csv(self) -> None:
        """Copy the table to the clipboard as CSV."""
        QGuiApplication.clipboard().setText(self.as_csv())

    @Slot(object)
    def _on_read(self, comparison: RunComparison) -> None:
        if comparison == self._comparison:
            return
        self._comparison = comparison
        self.table.show_records(range(len(comparison.runs)), _columns(comparison, self._icon_of))
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


def _columns(comparison: RunComparison, icon_of: Callable[[str], QIcon] | None) -> list[Column]:
    """Return the columns; their records are the indices of runs."""
    runs = comparison.runs
    first = Column(
        title="Run",
        about="The run",
        value=lambda at: runs[at].name,
        icon=lambda at: icon_of(runs[at].id) if icon_of is not None else None,
        key=lambda at: runs[at].name.casefold(),
    )
    return [first, *map(_column, comparison.columns)]


def _column(compared: ComparedColumn) -> Column:
    is_number = all(map(_is_number_or_none, compared.keys))
    keys = compared.keys if is_number else compared.cells
    return Column(
        title=compared.label,
        about=compared.tip,
        value=lambda at: compared.cells[at],
        is_number=is_number,
        key=lambda at: (keys[at] is None, keys[at]),
    )


def _is_number_or_none(key: object) -> bool:
    return key is None or (isinstance(key, int | float) and not isinstance(key, bool))
