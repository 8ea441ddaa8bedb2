"""Reads the zoomed part of a long run at a finer resolution: every step, if there are not too many."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PySide6.QtCore import QObject, Signal, Slot

from terrarium.app.session.run_history import RunHistory
from terrarium.app.worker.background import LatestTask
from terrarium.app.worker.failures import Failure
from terrarium.models.runs.curve import Floats, TrainCurve
from terrarium.models.runs.curve_index import CurveIndex

_BESIDE = 0.5
"""Margin read at each side of the visible part, as a share of its width, so that panning uncovers no gaps."""


class CloseUp(QObject):
    """Inserts the points of a part of a run into its history.

    Signals:
        taken(): points were inserted into the history.
    """

    taken = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._history, self._folder = RunHistory(), Path()
        self._known: tuple[TrainCurve, int, float, float] | None = None
        self._asked: tuple[float, float] | None = None
        self._task = LatestTask(self)
        self._task.done.connect(self._on_read)
        self._task.failed.connect(self._on_failed)

    def show_run(self, history: RunHistory, folder: Path | None) -> None:
        """Switch to another run; `folder` is None while it has none."""
        self._task.cancel()
        self._history, self._folder = history, folder or Path()
        self._known = self._asked = None

    def look_at(self, first: float, last: float) -> None:
        """Read, in the background, the points from step `first` to `last` that the history has thinned out."""
        train = self._history.train
        seen = slice(int(np.searchsorted(train["step"], first)), int(np.searchsorted(train["step"], last)) + 1)
        if not self._folder.name or not (train["rows"][seen] > 1).any() or (first, last) == self._asked:
            return
        if self._known is not None:
            curve, version, known_first, known_last = self._known
            is_same = curve is train and version == train.version and known_first <= first and last <= known_last
            if is_same and 2 * (1 + _BESIDE) * (last - first) > known_last - known_first:
                return  # already read at the finest resolution
        self._asked = (first, last)
        beside = _BESIDE * (last - first)
        index, part = CurveIndex(self._folder), (first - beside, last + beside)
        self._task.ask(lambda: (train, part, index.part(*part)))

    @Slot(object)
    def _on_read(self, found: tuple[TrainCurve, tuple[float, float], Floats]) -> None:
        train, part, points = found
        self._asked = None
        if train is self._history.train:
            train.insert(points)
            self._known = train, train.version, *part
            self.taken.emit()

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        self._asked = None  # an unreadable log is reported by the code that follows it
