"""Looks up what trained runs have learned about positions: off the window's thread, beside any training."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from PySide6.QtCore import QObject, Signal, Slot

from app.worker.failures import Failure
from app.worker.job import INTERACTIVE, Job
from app.worker.notices import Notices
from app.worker.worker import Worker
from models.events import Event
from models.inspect.position_weights import (
    PositionRun,
    PositionRunsFound,
    PositionWeightsRead,
    find_position_runs,
    read_position_weights,
)
from models.library.library import Library
from models.settings.model_config import ModelConfig


class TrainedPositions(QObject):
    """Finds runs with learned positions, and reads their tables; of each, the last one asked for. Failures are said.

    Signals:
        runs_found(PositionRunsFound): which runs there are.
        weights_read(PositionWeightsRead): a run's tables.
    """

    runs_found = Signal(object)
    weights_read = Signal(object)

    def __init__(self, worker: Worker, library: Library, notices: Notices, parent: QObject) -> None:
        super().__init__(parent)
        self._worker, self._library, self._notices = worker, library, notices
        self._search: Job | None = None
        self._reading: Job | None = None
        worker.job_events.connect(self._on_events)
        worker.job_failed.connect(self._on_failed)

    def find(self, config: ModelConfig) -> None:
        """Look for runs that have learned what `config` would learn."""
        self._search = self._submit(
            self._search, "Look for positions", lambda: find_position_runs(self._library, config)
        )

    def read(self, run: PositionRun) -> None:
        """Read the tables of `run`."""
        self._reading = self._submit(self._reading, "Read positions", lambda: read_position_weights(run))

    def _submit(self, before: Job | None, title: str, make: Callable[[], Iterator[Event]]) -> Job:
        if before is not None:
            before.cancel()
        return self._worker.submit(Job(title, make, INTERACTIVE))

    @Slot(object, object)
    def _on_events(self, job: Job, events: tuple[Event, ...]) -> None:
        for event in events:
            if job is self._search and isinstance(event, PositionRunsFound):
                self.runs_found.emit(event)
            elif job is self._reading and isinstance(event, PositionWeightsRead):
                self.weights_read.emit(event)

    @Slot(object, object)
    def _on_failed(self, job: Job | None, failure: Failure) -> None:
        if job is not None and job in (self._search, self._reading):
            self._notices.fail(failure)
