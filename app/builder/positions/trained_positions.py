"""Reads the learned positions of trained runs in the background."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal, Slot

from terrarium.app.worker.background import LatestTask
from terrarium.app.worker.notices import Notices
from terrarium.models.events import Event
from terrarium.models.inspect.position_weights import (
    PositionRun,
    PositionRunsFound,
    PositionWeightsRead,
    find_position_runs,
    read_position_weights,
)
from terrarium.models.library.library import Library
from terrarium.models.settings.model_config import ModelConfig


class TrainedPositions(QObject):
    """Finds runs with learned positions and reads their tensors; only the latest request of each kind is answered.

    Signals:
        runs_found(PositionRunsFound): the runs with learned positions of the requested kind.
        weights_read(PositionWeightsRead): what a run has learned.
    """

    runs_found = Signal(object)
    weights_read = Signal(object)

    def __init__(self, library: Library, notices: Notices, parent: QObject) -> None:
        super().__init__(parent)
        self._library = library
        self._search, self._reading = LatestTask(self), LatestTask(self)
        for task in (self._search, self._reading):
            task.events_received.connect(self._on_events)
            task.failed.connect(notices.fail)

    def find(self, config: ModelConfig) -> None:
        """Find runs with the topology and position scheme of `config`, those with tensors of the same shapes first."""
        self._search.drive(lambda: find_position_runs(self._library, config))

    def read(self, run: PositionRun) -> None:
        """Read the learned positions of `run`."""
        self._reading.drive(lambda: read_position_weights(run))

    @Slot(object)
    def _on_events(self, events: tuple[Event, ...]) -> None:
        for event in events:
            if isinstance(event, PositionRunsFound):
                self.runs_found.emit(event)
            elif isinstance(event, PositionWeightsRead):
                self.weights_read.emit(event)
