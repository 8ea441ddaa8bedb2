"""Diagnosis of the shown run on a background thread: for the doctor's view and the alerts of charts."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from PySide6.QtCore import QObject, Signal, Slot

from terrarium.app.run_views.shown_run import ShownRun
from terrarium.app.session.run_history import RunHistory
from terrarium.app.worker.background import LatestTask
from terrarium.models.diagnosis import Examination, RunLog, examine
from terrarium.models.diagnosis.log import curve_of
from terrarium.models.files.log_tail import LogTail
from terrarium.models.runs.curve import Floats, Table
from terrarium.models.runs.run_folder import RunFolder

_OF_TRAIN = ("step", "loss", "lr", "grad_norm")


class RunExaminer(QObject):
    """Examines a run in the background, and again as it grows.

    Signals:
        examined(examination): the `Examination` of the shown run.
        failed(failure): the log cannot be read; a `Failure`.
    """

    examined = Signal(object)
    failed = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.run: ShownRun | None = None
        self._asked: ShownRun | None = None
        self._rows = _AllRows(Path())
        self._is_stale = False
        self._task = LatestTask(self)
        self._task.done.connect(self._on_examined)
        self._task.failed.connect(self.failed)

    def show_run(self, run: ShownRun) -> bool:
        """Examine another run; return whether there is anything to examine."""
        self.run, self._is_stale = run, False
        if run.folder is None or run.spec is None or not len(run.history.train):
            self._task.cancel()
            return False
        self._asked = run
        rows = None
        if not run.history.train.is_whole:
            if self._rows.folder != run.folder:
                self._rows = _AllRows(run.folder)
            rows = self._rows
        self._task.ask(partial(_examination, run, _Columns(run.history), rows))
        return True

    def refresh(self) -> bool:
        """Examine the run again, since it has grown; return whether there is anything to examine.

        An examination in progress is finished first.
        """
        if self.run is None:
            return False
        if self._task.busy:
            self._is_stale = True
            return True
        return self.show_run(self.run)

    @Slot(object)
    def _on_examined(self, examination: Examination) -> None:
        if self.run is None or self._asked is not self.run:
            return
        self.examined.emit(examination)
        if self._is_stale:
            self._is_stale = False
            self.refresh()


class _Columns:
    """A snapshot of the curves of a history, which may grow during the examination."""

    def __init__(self, history: RunHistory) -> None:
        self.train = {name: history.train[name] for name in _OF_TRAIN}
        self.val = {name: history.val[name] for name in ("step", "loss", "loss_error")}
        self.layers = history.layer_names
        self.layer_step = history.layers["step"]
        ratios = [history.layers[name] for name in self.layers]
        self.update_ratio = np.stack(ratios, axis=1) if ratios else np.zeros((len(self.layer_step), 0))
        self.figures = {key: curve_of(table["step"].copy(), table["value"]) for key, table in history.figures.items()}
        self.events = tuple((mark.step, mark.event, mark.detail) for mark in history.marks)


class _AllRows:
    """Every training row of a long run, not thinned, since diagnoses count steps. Used by one thread at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._tail = LogTail(folder / "metrics.jsonl")
        self._table = Table(_OF_TRAIN)

    def read(self) -> dict[str, Floats]:
        """Return the columns (N,), including rows written since the last call.

        Raises:
            ValueError: the log is damaged; the message names it.
        """
        if self._tail.was_replaced():
            self._table = Table(_OF_TRAIN)
        for rows in self._tail.blocks():
            self._table.extend([row for row in rows if row.get("kind") == "train" and isinstance(row.get("step"), int)])
        return {name: self._table[name] for name in _OF_TRAIN}


def _examination(run: ShownRun, columns: _Columns, rows: _AllRows | None) -> Examination:
    """Examine a run with these curves; raise a ValueError that names a damaged run.json or log."""
    assert run.folder is not None
    log = RunLog.of(
        RunFolder.open(run.folder),
        train=columns.train if rows is None else rows.read(),
        val=columns.val,
        layer_step=columns.layer_step,
        layers=columns.layers,
        update_ratio=columns.update_ratio,
        figures=columns.figures,
        events=columns.events,
    )
    return examine(log)
