"""Measurement, on the worker, of what the parent of a run reaches by best-of-n without any training."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot

from terrarium.app.session.session import Session
from terrarium.app.worker.failures import Failure
from terrarium.app.worker.job import BACKGROUND, Job
from terrarium.app.worker.latest_job import LatestJob
from terrarium.models.events import Event, Phase, Progress
from terrarium.models.library.library import Library


class ParentMeasurer(QObject):
    """Measures best-of-n of a run's parent, and estimates where the best policy for the reward would be.

    Runs on the worker, and writes the curves to the run's folder.

    words: the current phase. done: its progress, 0 to 1. problem: why the measurement failed, or "".

    Signals:
        changed(): `busy`, `words`, `done` or `problem` has changed.
        finished(): curves were written.
    """

    changed = Signal()
    finished = Signal()

    def __init__(self, session: Session, parent: QObject) -> None:
        super().__init__(parent)
        self._library, self._device = session.library, session.device
        self._job = LatestJob(session.worker, self)
        self._job.events_received.connect(self._on_events)
        self._job.ended.connect(self._on_ended)
        self.words, self.problem, self.done = "", "", 0.0
        session.closing.connect(self._job.cancel)

    @property
    def busy(self) -> bool:
        """Whether a measurement is running, or waiting for the worker."""
        return self._job.busy

    def start(self, folder: Path) -> None:
        """Start measuring the parent of the run in `folder`."""
        self.words, self.problem, self.done = "Waiting for the worker", "", 0.0
        make = partial(_measure, self._library, folder, self._device.name)
        self._job.submit(Job("Measure best-of-n", make, BACKGROUND))
        self.changed.emit()

    @Slot()
    def cancel(self) -> None:
        """Stop the measurement; curves written earlier are unchanged."""
        self._job.cancel()

    @Slot(object, object)
    def _on_events(self, job: Job, events: tuple[Event, ...]) -> None:
        for event in events:
            if isinstance(event, Phase):
                self.words, self.done = event.name, 0.0
            elif isinstance(event, Progress) and event.total:
                self.done = event.done / event.total
        self.changed.emit()

    @Slot(object, object)
    def _on_ended(self, job: Job, failure: Failure | None) -> None:
        self.problem = "" if failure is None else failure.sentence
        self.changed.emit()
        if failure is None and not job.cancelled:
            self.finished.emit()


def _measure(library: Library, folder: Path, device: str) -> Iterator[Event]:
    from terrarium.models.runs.run_folder import RunFolder
    from terrarium.models.training.stages.parent_draws import measure_parent

    yield from measure_parent(RunFolder.open(folder), library, device)
