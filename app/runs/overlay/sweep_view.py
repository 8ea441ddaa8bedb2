"""A comparison of runs by settings and best metric or lowest loss: parallel coordinates and a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from operator import attrgetter

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QWidget

from terrarium.app.kit.basics import EmptyState, column, frame, label, splitter
from terrarium.app.kit.layout.relayout import WholeRows
from terrarium.app.kit.record_table import Column, RecordTable
from terrarium.app.kit.setting_names.slot_words import format_setting
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.runs.overlay.parallel_axes import best_title, setting_title
from terrarium.app.runs.overlay.parallel_plot import ParallelPlot
from terrarium.app.runs.overlay.run_comparer import RunComparer
from terrarium.app.session.routes import ShowRun
from terrarium.app.session.session import Session
from terrarium.models.metrics.metrics_table import METRICS
from terrarium.models.number_words import format_count
from terrarium.models.runs.sweep import SweepRun, compare_runs

_TIP = "The best first. Enter or a double click opens a run."


class SweepView(QWidget):
    """Parallel coordinates and a table of the same runs, the best first."""

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._runs: Sequence[SweepRun] = ()
        self.plot = ParallelPlot(session.go, theme)
        self._words = label("", "muted", wrap=True)
        self.table = RecordTable("Runs, the best first", theme, has_many=True)
        self._none = EmptyState("Nothing to compare", "These runs have the same settings, or cannot be read.")
        self._none.hide()
        chart = frame("card", self._words, self.plot, self._none, grows=self.plot)
        below = frame("card", WholeRows(self.table), margin=SPACE)
        halves = splitter(chart, below, sizes=[360, 220], vertical=True)
        self.setLayout(column(halves))
        self.comparer = RunComparer(session, compare_runs, self)
        self.comparer.compared.connect(self._on_compared)
        self.table.record_activated.connect(lambda run: session.go(ShowRun(run.id)))
        self.table.selectionModel().selectionChanged.connect(self._on_selected)

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
        self.table.show_records(runs, _columns(runs))

    @Slot()
    def _on_selected(self) -> None:
        rows = self.table.selected_rows
        self.plot.set_spot((rows[0], 0) if len(rows) == 1 else None)


def _columns(runs: Sequence[SweepRun]) -> list[Column]:
    """Return the columns of the table: numbers and settings are aligned right."""
    names = runs[0].values if runs else ()
    settings = [_column(setting_title(name), partial(_setting, name), is_number=True) for name in names]
    return [
        _column("Run", attrgetter("name"), grows=True),
        _column(best_title(runs), attrgetter("best_text"), is_number=True),
        _column("Status", attrgetter("status")),
        *settings,
    ]


def _column(title: str, value: Callable[[SweepRun], str], *, is_number: bool = False, grows: bool = False) -> Column:
    return Column(title=title, value=value, tip=lambda run: _TIP, is_number=is_number, grows=grows)


def _setting(name: str, run: SweepRun) -> str:
    return format_setting(run.values[name])
