"""Compares runs in the background while a view of them is visible."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from PySide6.QtCore import QEvent, QObject, QTimer, Signal, Slot
from PySide6.QtWidgets import QWidget

from terrarium.app.session.session import Session
from terrarium.app.worker.background import LatestTask
from terrarium.models.library.library import RunInfo
from terrarium.models.library.lowest_loss import LowestLoss, find_lowest_loss

_POLL_MS = 3000
"""Milliseconds between polls for progress of training runs."""


class RunComparer(QObject):
    """Compares runs as soon as their view is visible, and again when one of them has changed.

    Signals:
        compared(result): what `compare` returned for the runs, with their lowest losses.
    """

    compared = Signal(object)

    def __init__(self, session: Session, compare: Callable[[list[RunInfo]], Any], view: QWidget) -> None:
        super().__init__(view)
        self._session, self._do, self._view = session, compare, view
        self._ids: tuple[str, ...] = ()
        self._infos: list[RunInfo] = []
        self._task = LatestTask(self)
        self._task.done.connect(self.compared)
        self._task.failed.connect(session.notices.fail)
        session.runs.changed.connect(self.compare)
        self.poll = QTimer(self, interval=_POLL_MS)
        self.poll.timeout.connect(self.compare)
        self.poll.start()
        view.installEventFilter(self)

    @property
    def busy(self) -> bool:
        """Whether the runs are being read."""
        return self._task.busy

    def show_runs(self, run_ids: Sequence[str]) -> None:
        """Compare these runs."""
        self._ids = tuple(run_ids)
        self.compare()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Compare the runs when the view is shown."""
        if event.type() == QEvent.Type.Show:
            self.compare()
        return False

    @Slot()
    def compare(self) -> None:
        """While the view is visible, read the runs again if their list entries have changed."""
        infos = [info for info in self._session.runs.index.infos() if info.id in self._ids]
        if infos and infos != self._infos and self._view.isVisible():
            self._infos = infos
            self._task.ask(lambda: self._do([_measured(info) for info in infos]))


def _measured(info: RunInfo) -> RunInfo:
    """Return the run with its lowest loss and best metric, measured now if the index has not done so yet."""
    if info.best_loss is not None or info.problem is not None:
        return info
    found = find_lowest_loss(info.folder, LowestLoss())
    return dataclasses.replace(info, best_loss=found.loss, best_metric=found.metric)
