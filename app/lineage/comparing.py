"""Compares stages on the worker: all reply to the same prompts, and the replies are judged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from PySide6.QtCore import QObject, Signal, Slot

from terrarium.app.session.session import Session
from terrarium.app.session.status import StatusLine
from terrarium.app.worker.failures import Failure
from terrarium.app.worker.job import Job
from terrarium.app.worker.latest_job import LatestJob
from terrarium.models.alignment.win_rates import Asked
from terrarium.models.events import Event, Phase, Progress


class StageComparer(QObject):
    """Measures win rates, one comparison at a time; cancelled when a training run starts, which would otherwise wait.

    phase, done, total: the progress of the current comparison.

    Signals:
        changed(): the progress has changed.
        measured(): the replies and their scores were saved in the stages' folders.
        failed(sentence): the comparison failed.
    """

    changed = Signal()
    measured = Signal()
    failed = Signal(str)

    def __init__(self, session: Session, parent: QObject) -> None:
        super().__init__(parent)
        self._session = session
        self._job = LatestJob(session.worker, self)
        self._job.events_received.connect(self._on_events)
        self._job.ended.connect(self._on_ended)
        self.phase, self.done, self.total = "", 0, 0
        session.training.began.connect(self.cancel)  # the training waits for it
        session.models.freed.connect(self.cancel)
        session.closing.connect(self.cancel)

    @property
    def busy(self) -> bool:
        """Whether a comparison is in progress."""
        return self._job.busy

    @property
    def status(self) -> StatusLine | None:
        """The progress for the status bar, or None if idle."""
        return StatusLine(words=f"Win rates: {self.phase}", done=self.done, total=self.total) if self.busy else None

    def start(self, stages: Sequence[str], asked: Asked, reward_model: str = "") -> None:
        """Measure the win rates of runs; reward_model: the id of a run, or ""."""
        library, device = self._session.library, self._session.device.name

        def make() -> Iterator[Event]:
            from terrarium.models.recipes.demonstrations.comparison import compare_stages

            yield from compare_stages(
                library,
                stages,
                asked.wish,
                n=asked.n,
                seed=asked.seed,
                world_seed=asked.world_seed,
                reward_model=reward_model,
                device=device,
            )

        self.phase, self.done, self.total = "Waiting for the worker", 0, 0
        self._job.submit(Job("Win rates of stages", make))
        self.changed.emit()

    @Slot()
    def cancel(self) -> None:
        """Stop after the current step; the replies of stages that have finished replying are retained."""
        self._job.cancel()

    @Slot(object, object)
    def _on_events(self, job: Job, events: tuple[Event, ...]) -> None:
        for event in events:
            if isinstance(event, Phase):
                self.phase = event.name
            elif isinstance(event, Progress):
                self.done, self.total = event.done, event.total
        self.changed.emit()

    @Slot(object, object)
    def _on_ended(self, job: Job, failure: Failure | None) -> None:
        if failure is not None:
            self.failed.emit(failure.sentence)
        elif not job.cancelled:
            self.measured.emit()
        self.changed.emit()
