"""Scores the pairs of a dataset with a model of the library. No widgets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal, Slot

from terrarium.app.session.candidates import Candidate, candidate_path, loaded_candidate
from terrarium.app.session.session import Session
from terrarium.app.worker.job import BACKGROUND, Job
from terrarium.app.worker.latest_job import LatestJob
from terrarium.models.events import Event, Progress

if TYPE_CHECKING:
    from terrarium.models.alignment.pair_scores import PairScores

PAIRS = "Pairs"
"""The owner of this model in ModelsInMemory."""


@dataclass(frozen=True, kw_only=True)
class PairsScored(Event):
    """The scores of all pairs, in order."""

    scores: PairScores


class PairScorer(QObject):
    """Scores the pairs of one dataset at a time.

    Signals:
        changed(): `busy` or `done` is new.
        scored(scores): a PairScores of all rows.
    """

    changed = Signal()
    scored = Signal(object)

    def __init__(self, session: Session, parent: QObject) -> None:
        super().__init__(parent)
        self._session = session
        self.done = 0
        self._job = LatestJob(session.worker, self)
        self._job.events_received.connect(self._on_events)
        self._job.ended.connect(self._on_ended)
        self._job.failed.connect(session.notices.fail)
        session.models.freed.connect(self.drop)

    @property
    def busy(self) -> bool:
        """Whether pairs are being scored."""
        return self._job.busy

    def start(self, run_id: str, rows: Sequence[dict[str, Any]]) -> None:
        """Score these rows with the latest checkpoint of a run; failures are reported."""
        session, device = self._session, self._session.device.name

        def make() -> Iterator[Event]:
            from terrarium.models.alignment.pair_scores import pair_scores
            from terrarium.models.runs.run_folder import RunFolder

            run = RunFolder.open(session.runs.find(run_id).folder)
            path = candidate_path(run, Candidate(run_id))
            loaded = yield from loaded_candidate(session.library, session.models, PAIRS, run, path, device)
            scores = yield from pair_scores(loaded.model, loaded.tokenizer, rows)
            yield PairsScored(scores=scores)

        self.done = 0
        self._job.submit(Job("Score pairs", make, BACKGROUND))
        self.changed.emit()

    @Slot()
    def drop(self) -> None:
        """Stop, discard the results, and release the model."""
        self._job.drop()
        self._session.models.release(PAIRS)
        self.changed.emit()

    @Slot(object, object)
    def _on_events(self, job: Job, events: tuple[Event, ...]) -> None:
        for event in events:
            if isinstance(event, Progress) and event.total:
                self.done = event.done
                self.changed.emit()
            elif isinstance(event, PairsScored):
                self.scored.emit(event.scores)

    @Slot()
    def _on_ended(self) -> None:
        self._session.models.release(PAIRS)
        self.changed.emit()
