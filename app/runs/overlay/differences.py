"""A table of runs, with columns for their results and for every setting in which they differ."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QFontMetrics, QGuiApplication, QIcon, QKeySequence, QShortcut
from PySide6.QtWidgets import QHeaderView, QWidget

from terrarium.app.kit.basics import button, column, label, row, titled_card
from terrarium.app.kit.record_table import Column, RecordTable
from terrarium.app.kit.setting_names.preset_words import known_parameters
from terrarium.app.kit.setting_names.slot_words import (
    UNUSED,
    differs,
    format_setting,
    format_slot,
    label_of,
    value_in_use,
)
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.worker.background import LatestTask
from terrarium.models.library.library import RunInfo
from terrarium.models.library.run_record import read_record
from terrarium.models.metrics.metrics_table import METRICS, best_first, format_score
from terrarium.models.number_words import format_compact, format_count, format_duration
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import RunSpec
from terrarium.models.settings.slots import is_used
from terrarium.models.settings.tasks import TASKS

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
        self._comparison = _RunComparison((), (), 0)
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
    def comparison(self) -> _RunComparison:
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
    def _on_read(self, comparison: _RunComparison) -> None:
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


def _columns(comparison: _RunComparison, icon_of: Callable[[str], QIcon] | None) -> list[Column]:
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


def _column(compared: _ComparedColumn) -> Column:
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


@dataclass(frozen=True)
class _ComparedColumn:
    """A column of the comparison: its label, and for each run a text and a sort key (None: no value)."""

    label: str
    tip: str
    cells: tuple[str, ...]
    keys: tuple[Any, ...]
    is_setting: bool = True


@dataclass(frozen=True)
class _RunComparison:
    """The compared runs, the columns, and the number of settings that are the same in all."""

    runs: tuple[RunInfo, ...]
    columns: tuple[_ComparedColumn, ...]
    n_alike: int


def compare_runs(runs: Sequence[RunInfo]) -> _RunComparison:
    """Compare results and differing settings; runs whose run.json is damaged are left out."""
    readable, specs = [], []
    for run in runs:
        try:
            specs.append(RunSpec.from_dict(read_record(run.folder)["spec"], where=str(run.folder / "run.json")))
        except ValueError:
            continue
        readable.append(run)
    models = [spec.model for spec in specs]
    slots = [_slot(models, f) for f in dataclasses.fields(ModelConfig) if differs(models, f)]
    n_settings = len(dataclasses.fields(ModelConfig))
    for part in ("tokenizer", "data", "train"):
        settings = [getattr(spec, part) for spec in specs]
        if settings:
            all_fields = dataclasses.fields(settings[0])
            n_settings += len(all_fields)
            slots += [_setting(settings, f) for f in all_fields if len({_used(one, f) for one in settings}) > 1]
    units = list(dict.fromkeys(TASKS[spec.data.task].loss_unit for spec in specs))
    return _RunComparison(tuple(readable), (*_results(readable, models, units), *slots), n_settings - len(slots))


def _results(
    runs: Sequence[RunInfo], models: Sequence[ModelConfig], units: Sequence[str]
) -> tuple[_ComparedColumn, ...]:
    """Return the columns of results. units: those of the losses."""
    metrics = dict.fromkeys(run.best_metric[0] for run in runs if run.best_metric is not None)
    return (
        *(_metric(name, runs) for name in metrics),
        _result(
            "Best loss",
            f"Lowest validation loss, in {' or '.join(units)}",
            [run.best_loss for run in runs],
            "{:.3f}".format,
        ),
        _result("Steps", "Steps trained", [run.step for run in runs], "{:,}".format),
        _result("Time", "Training time", [run.elapsed_s for run in runs], format_duration),
        _result("Parameters", "Trainable parameters", [known_parameters(model) for model in models], _format_count),
    )


def _metric(name: str, runs: Sequence[RunInfo]) -> _ComparedColumn:
    """Return the column of the best values of a metric; ascending sort keys put the best first."""
    values = [run.best_metric[1] if run.best_metric and run.best_metric[0] == name else None for run in runs]
    return _ComparedColumn(
        METRICS[name].title,
        f"The best on validation: {METRICS[name].help}",
        tuple(UNUSED if value is None else format_score(name, value) for value in values),
        tuple(None if value is None else best_first(name, value) for value in values),
        is_setting=False,
    )


def _format_count(n: int) -> str:
    return format_compact(n, billion="B")


def _result(label: str, tip: str, values: Sequence[Any], in_words: Callable[[Any], str]) -> _ComparedColumn:
    cells = tuple(UNUSED if value is None else in_words(value) for value in values)
    return _ComparedColumn(label, tip, cells, tuple(values), is_setting=False)


def _slot(models: Sequence[ModelConfig], f: dataclasses.Field[Any]) -> _ComparedColumn:
    cells, keys = (format_slot(model, f) for model in models), (value_in_use(model, f) for model in models)
    return _ComparedColumn(label_of(f), f.metadata["help"], tuple(cells), tuple(keys))


def _setting(settings: Sequence[Any], f: dataclasses.Field[Any]) -> _ComparedColumn:
    values = tuple(_used(one, f) for one in settings)
    return _ComparedColumn(label_of(f), f.metadata["help"], tuple(map(format_setting, values)), values)


def _used(settings: Any, f: dataclasses.Field[Any]) -> Any:
    """Return the value of a setting, or None if other settings make it irrelevant."""
    return getattr(settings, f.name) if is_used(settings, f) else None
