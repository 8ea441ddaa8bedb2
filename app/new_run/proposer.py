"""Reads the data of a draft and measures the training speed of its model in the background; proposes its settings."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from terrarium.app.session.session import Session
from terrarium.app.worker.background import LatestTask
from terrarium.app.worker.failures import Failure
from terrarium.app.worker.job import BACKGROUND, Job
from terrarium.app.worker.latest_job import LatestJob
from terrarium.models.design.custom import if_known
from terrarium.models.events import Event
from terrarium.models.settings.run_spec import RunSpec
from terrarium.models.training.proposal.propose import Proposal, propose
from terrarium.models.training.proposal.speed import Speed
from terrarium.models.training.proposal.step_shape import StepShape, step_shape, update_flops

if TYPE_CHECKING:
    from terrarium.models.training.proposal.facts import DataFacts

log = logging.getLogger(__name__)

_SETTLE_MS = 300
"""Milliseconds without a change after which the speed of this computer is measured."""
_ALIKE = 3.0
"""Maximum ratio of operations per update at which a measured speed is used for updates of another size."""


class Proposer(QObject):
    """Reads the data of a draft in the background, and measures the speed of its model while no run is training.

    facts: measurements of the data; None until it has been read, or if it cannot be read. proposal: the proposed
    settings; None until reading the data has ended. may_measure: whether the page is visible.

    Signals:
        changed(): `proposal`, `speed` or `is_measuring` has changed.
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
        self._failed: RunSpec | None = None  # not measured again until the draft changes or the page is shown again
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
        """Set the draft and update the proposal. None: it cannot be trained or measured.

        If its data has changed, the data is read first. kept: the settings that the user has changed.
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
        """Whether the data is being read."""
        return self._reader.busy

    @property
    def _can_measure(self) -> bool:
        """Whether the page is visible, the device is ready and no run is training."""
        return self.may_measure and self._session.device.ready and not self._session.training.active

    @property
    def is_measuring(self) -> bool:
        """Whether the unknown speed of the draft is being measured, or will be in a moment."""
        waits = self.busy or self._session.device.is_loading
        will_be = waits and self.may_measure and not self._session.training.active
        return self.speed is None and (will_be or self._later.isActive() or self._job.busy)

    @property
    def speed(self) -> Speed | None:
        """The training speed of the draft's model on this device, with updates of similar size; None if unknown."""
        if self._spec is None:
            return None
        flops = if_known(partial(self._flops, self._spec))
        if flops is None:
            return None
        known = self._speeds.get(_model_of(self._spec, self._session.device.name), {})
        nearest = min(known, key=lambda one: abs(math.log(one / flops)), default=None)
        if nearest is None or not flops / _ALIKE <= nearest <= flops * _ALIKE:
            return None
        return known[nearest]

    def know(self, spec: RunSpec, speed: Speed) -> None:
        """Record the measured training speed of `spec`, and update the proposal."""
        self._speeds.setdefault(_model_of(spec, self._session.device.name), {})[self._flops(spec)] = speed
        self._propose()
        self.changed.emit()

    def shape(self, spec: RunSpec) -> StepShape:
        """Return the rows and tokens that an update of `spec` reads."""
        return step_shape(self.facts, spec.model, spec.train, spec.tune)

    def stop(self) -> None:
        """Cancel measurements, since the page was hidden."""
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
        """Propose without facts. The error itself is shown when the run starts or is previewed."""
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
        self.proposal = if_known(lambda: propose(spec, self.facts, speed, free, self._kept))
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
            self._later.start()  # the draft has changed since the measurement started
        self.changed.emit()


def _data_of(spec: RunSpec) -> tuple[object, ...]:
    """Return the choices that determine the lengths of texts in tokens."""
    tune = None if spec.tune is None else (spec.tune.parent, spec.tune.mode)
    model = spec.model
    return spec.data, None if tune else spec.tokenizer, tune, model.topology, model.head, model.context_length


def _model_of(spec: RunSpec, device: str) -> tuple[object, ...]:
    """Return the choices that determine the training speed, apart from the size of updates."""
    train: dict[str, Any] = {
        name: getattr(spec.train, name) for name in ("optimizer", "precision", "activation_checkpointing")
    }
    tune = None if spec.tune is None else dataclasses.replace(spec.tune, parent="-", max_length=512)
    return spec.model, tune, *train.values(), device
