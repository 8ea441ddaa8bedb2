"""Measures speed, memory and perplexity of a model in each weight format, on the worker thread."""

from __future__ import annotations

from collections.abc import Iterator

from PySide6.QtCore import QObject, Signal, Slot

from terrarium.app.session.chat_model import LIVE, ChatModel
from terrarium.app.session.device import Device
from terrarium.app.worker.failures import Failure
from terrarium.app.worker.job import INTERACTIVE, Job
from terrarium.app.worker.latest_job import LatestJob
from terrarium.app.worker.worker import Worker
from terrarium.models.events import Event, Phase, Progress
from terrarium.models.inference.weight_kinds import WeightsMeasured
from terrarium.models.library.library import Library


class WeightsMeasurement(QObject):
    """One measurement at a time: `doing` and `share` are its progress, `measured` its result, `problem` its failure.

    Signals:
        changed(): one of these, or `busy`, is new.
    """

    changed = Signal()

    def __init__(self, worker: Worker, library: Library, device: Device, parent: QObject) -> None:
        super().__init__(parent)
        self._job = LatestJob(worker, self)
        self._job.events_received.connect(self._on_events)
        self._job.ended.connect(self._on_ended)
        self._library, self._device = library, device
        self.doing, self.share = "", 0.0
        self.measured: WeightsMeasured | None = None
        self.problem = ""

    @property
    def busy(self) -> bool:
        """Whether a measurement is running or queued."""
        return self._job.busy

    def measure(self, model: ChatModel) -> None:
        """Load another copy of the model's checkpoint and measure it; the open model remains unchanged."""
        assert model.which != LIVE
        library, device_name = self._library, self._device.name

        def make() -> Iterator[Event]:
            from terrarium.models.device import choose_device
            from terrarium.models.inference.held_out import held_out
            from terrarium.models.inference.measure_weights import measure_weights
            from terrarium.models.interop.loading import load_model_events
            from terrarium.models.runs.run_folder import RunFolder

            run = RunFolder.open(library.runs / model.run_id)
            device = choose_device(device_name).device
            loaded, tokenizer = yield from load_model_events(run.checkpoint_path(model.step), device)
            if tokenizer is None:
                raise ValueError(f"{run.name} has no tokenizer, so there is no text to measure it on.")
            yield from measure_weights(loaded, held_out(run.folder, tokenizer, library))

        self.forget()
        self._job.submit(Job("Measure weights", make, INTERACTIVE))
        self.changed.emit()

    @Slot()
    def cancel(self) -> None:
        """Stop the measurement."""
        self._job.cancel()

    def forget(self) -> None:
        """Drop the results, because another model is open."""
        self._job.drop()
        self.doing, self.share, self.measured, self.problem = "", 0.0, None, ""
        self.changed.emit()

    @Slot(object, object)
    def _on_events(self, job: Job, events: tuple[Event, ...]) -> None:
        for event in events:
            if isinstance(event, Phase):
                self.doing, self.share = event.name, 0.0
            elif isinstance(event, Progress) and event.total:
                self.share = event.done / event.total
            elif isinstance(event, WeightsMeasured):
                self.measured = event
        self.changed.emit()

    @Slot(object, object)
    def _on_ended(self, job: Job, failure: Failure | None) -> None:
        self.problem = failure.sentence if failure is not None else ""
        self.changed.emit()
