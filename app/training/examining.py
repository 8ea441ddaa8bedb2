"""Examines the run that is shown, on another thread: for the doctor's view, and for the alarms of charts."""

from __future__ import annotations

from functools import partial

import numpy as np
from PySide6.QtCore import QObject, Signal, Slot

from app.session.run_history import RunHistory
from app.training.shown_run import ShownRun
from app.worker.background import LatestTask
from models.runs.run_folder import RunFolder
from models.training.doctor import Examination, RunLog, examine
from models.training.doctor.log import curve_of


class RunExaminer(QObject):
    """Examines a run in the background, and again as it grows.

    Signals:
        examined(examination): of the run that is shown.
        failed(failure): its log cannot be read; a Failure.
    """

    examined = Signal(object)
    failed = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.run: ShownRun | None = None
        self._asked: ShownRun | None = None
        self._is_stale = False
        self._task = LatestTask(self)
        self._task.done.connect(self._on_examined)
        self._task.failed.connect(self.failed)

    def show_run(self, run: ShownRun) -> bool:
        """Examine another run; whether there is anything to examine."""
        self.run, self._is_stale = run, False
        if run.folder is None or run.spec is None or not len(run.history.train):
            self._task.cancel()
            return False
        self._asked = run
        self._task.ask(partial(_examination, run, _Columns(run.history)))
        return True

    def refresh(self) -> bool:
        """The run has grown: examine it again, after an examination in progress; whether there is anything to
        examine."""
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
        self.train = {name: history.train[name] for name in ("step", "loss", "lr", "grad_norm")}
        self.val = {name: history.val[name] for name in ("step", "loss", "loss_error")}
        self.layers = history.layer_names
        self.layer_step = history.layers["step"]
        ratios = [history.layers[name] for name in self.layers]
        self.update_ratio = np.stack(ratios, axis=1) if ratios else np.zeros((len(self.layer_step), 0))
        self.figures = {key: curve_of(table["step"].copy(), table["value"]) for key, table in history.figures.items()}
        self.events = tuple((mark.step, mark.event, mark.detail) for mark in history.marks)


def _examination(run: ShownRun, columns: _Columns) -> Examination:
    """Examine a run with these curves; ValueError names a damaged run.json."""
    assert run.folder is not None
    log = RunLog.of(
        RunFolder.open(run.folder),
        train=columns.train,
        val=columns.val,
        layer_step=columns.layer_step,
        layers=columns.layers,
        update_ratio=columns.update_ratio,
        figures=columns.figures,
        events=columns.events,
    )
    return examine(log)
