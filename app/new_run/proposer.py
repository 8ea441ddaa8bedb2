"""Finds out what a draft of a run would learn from, and how fast its model is trained here; proposes its settings."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from terrarium.app.session.session import Session
from terrarium.app.worker.background import LatestTask
from terrarium.app.worker.failures import Failure
from terrarium.app.worker.job import BACKGROUND, Job
from terrarium.app.worker.latest_job import LatestJob
from terrarium.models.events import Event
from terrarium.models.settings.run_spec import RunSpec
from terrarium.models.training.proposal.propose import Proposal, propose
from terrarium.models.training.proposal.speed import Speed
from terrarium.models.training.proposal.step_shape import StepShape, step_shape, update_flops

if TYPE_CHECKING:
    from terrarium.models.training.proposal.facts import DataFacts

log = logging.getLogger(__name__)

_SETTLE_MS = 300
"""Milliseconds without a change of the form after which the speed of this computer is measured."""
_ALIKE = 3.0
"""Ratio of operations per update up to which a measured speed is used for another update."""


class Proposer(QObject):
    """Looks at the data of a draft in the background, and measures the speed of its model while nothing trains.

    facts: what the draft would learn from; None until that is known, or where it cannot be. proposal: its settings;
    None until its data was looked at.

    Signals:
        changed(): one of these is new, or `speed`.
    """

    changed = Signal()

    def __init__(self, session: Session, parent: QObject) -> None:
        super().__init__(parent)
        self._session = session
        self.facts: DataFacts | None = None
        self.proposal: Proposal | None = None
        self._spec: RunSpec | None = None
        self._kept: tuple[str, ...] = ()
        self._looked_at: tuple[object, ...] | None = None
        self._speeds: dict[tuple[object, ...], dict[float, Speed]] = {}
        self._measured: RunSpec | None = None
        self._failed: RunSpec | None = None  # it is not measured again before it is another one, or shown again
        self._reader = LatestTask(self)
        self._reader.done.connect(self._on_read)
        self._reader.failed.connect(self._on_failed)
        self._job = LatestJob(session.worker, self)
        self._job.events_received.connect(self._on_events)
        self._job.ended.connect(self._on_ended)
        self._later = QTimer(self, singleShot=True, interval=_SETTLE_MS)
        self._later.timeout.connect(self._measure)
        self.may_measure = False
        session.training.began.connect(self._job.cancel)
        session.closing.connect(self._reader.cancel)

    def look(self, spec: RunSpec | None, kept: tuple[str, ...] = ()) -> None:
        """The draft is `spec` now; None where it cannot be trained as it is, or draws replies.

        kept: the settings that the user has chosen.
        """
        self._spec, self._kept = spec, kept
        about = None if spec is None else _data_of(spec)
        if about != self._looked_at:
            self._looked_at = about
            self.facts = self.proposal = None
            self._reader.cancel()
            if spec is not None:
                from terrarium.models.training.proposal.facts import read_facts

                library, wanted = self._session.library, spec
                self._reader.drive(lambda: read_facts(library, wanted))
            return
        if spec is not None and not self._reader.busy:
            self._propose()

    @property
    def busy(self) -> bool:
        """Whether the data is being looked at."""
        return self._reader.busy

    @property
    def _can_measure(self) -> bool:
        """Whether the form is in sight, and nothing more important uses the computer."""
        return self.may_measure and self._session.device.ready and not self._session.training.active

    @property
    def is_measuring(self) -> bool:
        """Whether the computer is measured, or will be in a moment, since the speed of the draft is not known."""
        waits = self.busy or self._session.device.is_loading
        will_be = waits and self.may_measure and not self._session.training.active
        return self.speed is None and (will_be or self._later.isActive() or self._job.busy)

    @property
    def speed(self) -> Speed | None:
        """How fast the draft's model is trained here, by updates about as large as its own; None if unknown."""
        if self._spec is None:
            return None
        flops = self._flops(self._spec)
        known = self._speeds.get(_model_of(self._spec, self._session.device.name), {})
        nearest = min(known, key=lambda one: abs(math.log(one / flops)), default=None)
        if nearest is None or not flops / _ALIKE <= nearest <= flops * _ALIKE:
            return None
        return known[nearest]

    def know(self, spec: RunSpec, speed: Speed) -> None:
        """The speed of the model of `spec` was measured, by updates about as large as its own."""
        self._speeds.setdefault(_model_of(spec, self._session.device.name), {})[self._flops(spec)] = speed
        self._propose()
        self.changed.emit()

    def shape(self, spec: RunSpec) -> StepShape:
        """What an update of `spec` reads."""
        return step_shape(self.facts, spec.model, spec.train, spec.tune)

    def stop(self) -> None:
        """Measure nothing: the form is out of sight."""
        self._failed = None
        self._later.stop()
        self._job.cancel()

    def _flops(self, spec: RunSpec) -> float:
        return update_flops(self.shape(spec), spec.model, spec.train, spec.tune)

    @Slot(object)
    def _on_read(self, facts: DataFacts | None) -> None:
        self.facts = facts
        self._propose()

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        """Data that cannot be read is reported when the run is started, and previewed."""
        log.info("The data of a new run was not looked at: %s", failure.sentence)
        self.facts = None
        self._propose()

    def _propose(self) -> None:
        spec = self._spec
        if spec is None:
            return
        memory = self._session.device.memory
        free = None if memory is None else memory.n_bytes
        speed, before = self.speed, (self.proposal, self.is_measuring)
        self.proposal = propose(spec, self.facts, speed, free, self._kept)
        if speed is None and spec != self._failed and self._can_measure and not self._job.busy:
            self._later.start()
        if before != (self.proposal, self.is_measuring):
            self.changed.emit()

    @Slot()
    def _measure(self) -> None:
        """Measure the speed of the draft, unless it is known or something else is more important."""
        spec, device = self._spec, self._session.device.name
        if spec is None or self.speed is not None or self._job.busy or not self._can_measure:
            self.changed.emit()
            return
        shape = self.shape(spec)
        self._measured = spec

        def make() -> Iterator[Event]:
            from terrarium.models.training.proposal.calibrate import measure_speed

            yield (yield from measure_speed(spec, shape, device))

        self._job.submit(Job("Measuring this computer", make, BACKGROUND))

    @Slot(object, object)
    def _on_events(self, job: Job, events: tuple[Event, ...]) -> None:
        for event in events:
            if isinstance(event, Speed) and self._measured is not None:
                self.know(self._measured, event)

    @Slot(object, object)
    def _on_ended(self, job: Job, failure: Failure | None) -> None:
        if failure is not None:
            self._failed = self._measured
            log.info("The speed of a new run was not measured: %s", failure.sentence)
        elif self.speed is None and self.may_measure and not job.cancelled:
            self._later.start()  # the draft is another one by now
        self.changed.emit()


def _data_of(spec: RunSpec) -> tuple[object, ...]:
    """What the lengths of texts in tokens depend on."""
    tune = None if spec.tune is None else (spec.tune.parent, spec.tune.mode)
    model = spec.model
    return spec.data, None if tune else spec.tokenizer, tune, model.topology, model.head, model.context_length


def _model_of(spec: RunSpec, device: str) -> tuple[object, ...]:
    """What the speed of a training depends on, beside the size of its updates."""
    train: dict[str, Any] = {
        name: getattr(spec.train, name) for name in ("optimizer", "precision", "activation_checkpointing")
    }
    tune = None if spec.tune is None else dataclasses.replace(spec.tune, parent="-", max_length=512)
    return spec.model, tune, *train.values(), device
