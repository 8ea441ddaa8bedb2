"""A comparison of runs by settings and best metric or lowest loss: parallel coordinates and a table."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from terrarium.app.kit.basics import EmptyState, column, frame, label, splitter
from terrarium.app.kit.setting_names.slot_words import format_setting
from terrarium.app.kit.tables import plain_table
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.runs.overlay.parallel_axes import best_title, setting_title
from terrarium.app.runs.overlay.parallel_plot import ParallelPlot
from terrarium.app.runs.overlay.run_comparer import RunComparer
from terrarium.app.session.session import Session
from terrarium.models.metrics.metrics_table import METRICS
from terrarium.models.number_words import format_count
from terrarium.models.runs.sweep_result import SweepRun, compare_runs


class SweepView(QWidget):
    """Parallel coordinates and a table of the same runs, the best first.

    Signals:
        run_asked(run_id): the user wants to see this run.
    """

    run_asked = Signal(str)

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._runs: Sequence[SweepRun] = ()
        self.plot = ParallelPlot(theme)
        self._words = label("", "muted", wrap=True)
        self.table = QTableWidget()
        plain_table(self.table, "Runs, the best first")
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setToolTip("The best first. Enter or a double click opens a run.")
        self._none = EmptyState("Nothing to compare", "These runs have the same settings, or cannot be read.")
        self._none.hide()
        chart = frame("card", self._words, self.plot, self._none, grows=self.plot)
        below = frame("card", self.table, margin=SPACE)
        self.setLayout(column(splitter(chart, below, sizes=[360, 220], vertical=True)))
        self.comparer = RunComparer(session, compare_runs, self)
        self.comparer.compared.connect(self._on_compared)
        self.plot.run_asked.connect(self.run_asked)
        self.table.cellActivated.connect(lambda row, column: self.run_asked.emit(self._runs[row].id))
        self.table.itemSelectionChanged.connect(self._on_selected)

    @property
    def busy(self) -> bool:
        """Whether the runs are being read."""
        return self.comparer.busy

    def show_runs(self, run_ids: Sequence[str]) -> None:
        """Compare these runs."""
        self.comparer.show_runs(run_ids)

    @Slot(object)
    def _on_compared(self, runs: list[SweepRun]) -> None:
        if runs == self._runs:
            return
        self._runs = runs
        varies = bool(runs) and bool(runs[0].values)
        self.plot.setVisible(varies)
        self._none.setVisible(not varies)
        best = runs[0] if runs else None
        if best is not None and best.best is not None:
            what = f"best {METRICS[best.metric].title} on validation" if best.metric else "lowest validation loss"
            self._words.setText(
                f"{format_count(len(runs), 'run')}, the {what} is {best.best_text}: “{best.name}” (the thick line)."
            )
        else:
            self._words.setText(f"{format_count(len(runs), 'run')}, none of them validated yet.")
        self.plot.show_runs(runs)
        self._fill(runs)

    def _fill(self, runs: Sequence[SweepRun]) -> None:
        names = list(runs[0].values) if runs else []
        titles = ["Run", best_title(runs), "Status", *map(setting_title, names)]
        self.table.setColumnCount(len(titles))
        for at, title in enumerate(titles):
            head = QTableWidgetItem(title)
            head.setTextAlignment(_alignment(at))
            self.table.setHorizontalHeaderItem(at, head)
        self.table.setRowCount(len(runs))
        for line, run in enumerate(runs):
            texts = [run.name, run.best_text, run.status, *(format_setting(run.values[name]) for name in names)]
            for at, text in enumerate(texts):
                item = QTableWidgetItem(text)
                item.setTextAlignment(_alignment(at))
                self.table.setItem(line, at, item)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)

    @Slot()
    def _on_selected(self) -> None:
        rows = {index.row() for index in self.table.selectedIndexes()}
        self.plot.set_spot((rows.pop(), 0) if len(rows) == 1 else None)


def _alignment(column: int) -> Qt.AlignmentFlag:
    """Return the alignment of a column: names and statuses left, numbers and settings right."""
    side = Qt.AlignmentFlag.AlignLeft if column in (0, 2) else Qt.AlignmentFlag.AlignRight
    return side | Qt.AlignmentFlag.AlignVCenter
