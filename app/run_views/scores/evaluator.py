"""Evaluation of a run on a dataset, on the worker; the scores are written to the run's folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot

from terrarium.app.session.device import Device
from terrarium.app.worker.failures import Failure
from terrarium.app.worker.job import BACKGROUND, Job
from terrarium.app.worker.latest_job import LatestJob
from terrarium.app.worker.worker import Worker
from terrarium.models.events import Event, Phase, Progress
from terrarium.models.library.library import Library


@dataclass(frozen=True, kw_only=True)
class EvaluationRequest:
    """An evaluation to run. step: of the checkpoint. dataset: its name, "" for the run's own dataset."""

    run_id: str
    folder: Path
    step: int
    dataset: str = ""


class RunEvaluator(QObject):
    """Runs one evaluation at a time.

    request: the current or last request. phase, done, total: its progress. problem: why it failed, or "".

    Signals:
        changed(): `busy`, the progress or `problem` has changed.
        finished(run_id): the scores of a run were written.
    """

    changed = Signal()
    finished = Signal(str)

    def __init__(self, worker: Worker, library: Library, device: Device, parent: QObject) -> None:
        super().__init__(parent)
        self._job = LatestJob(worker, self)
        self._job.events_received.connect(self._on_events)
        self._job.ended.connect(self._on_ended)
        self._library, self._device = library, device
        self.request: EvaluationRequest | None = None
        self.phase, self.done, self.total, self.problem = "", 0, 0, ""

    @property
    def busy(self) -> bool:
        """Whether an evaluation is running, or waiting for the worker."""
        return self._job.busy

    def start(self, request: EvaluationRequest) -> None:
        """Start an evaluation, cancelling the current one."""
        library, device = self._library, self._device.name
        self.request, self.problem = request, ""
        self.phase, self.done, self.total = "Waiting for the worker", 0, 0
        self._job.submit(Job("Evaluate a run", lambda: _evaluate(library, request, device), BACKGROUND))
        self.changed.emit()

    @Slot()
    def cancel(self) -> None:
        """Stop after the current batch; scores written earlier are unchanged."""
        self._job.cancel()
        self.phase, self.done, self.total = "Stopping", 0, 0
        self.changed.emit()

    @Slot(object, object)
    def _on_events(self, job: Job, events: tuple[Event, ...]) -> None:
        for event in events:
            if isinstance(event, Phase):
                self.phase, self.done, self.total = event.name, 0, 0
            elif isinstance(event, Progress):
                self.done, self.total = event.done, event.total
        self.changed.emit()

    @Slot(object, object)
    def _on_ended(self, job: Job, failure: Failure | None) -> None:
        self.problem = "" if failure is None else failure.sentence
        self.changed.emit()
        if failure is None and not job.cancelled and self.request is not None:
            self.finished.emit(self.request.run_id)


def _evaluate(library: Library, request: EvaluationRequest, device: str) -> Iterator[Event]:
    """Load a checkpoint, predict, score, and write the scores. Runs on the worker's thread."""
    from terrarium.models.corpora.corpus import find_dataset, open_run_corpus
    from terrarium.models.device import choose_device
    from terrarium.models.interop.chat_templates import read_template_config
    from terrarium.models.interop.importing import task_of
    from terrarium.models.interop.loading import load_model_events
    from terrarium.models.runs.run_folder import RunFolder
    from terrarium.models.tasks.evaluating import dataset_rows, evaluate, with_baselines
    from terrarium.models.tasks.rows import check_rows
    from terrarium.models.tasks.scoring import write_scores
    from terrarium.models.tasks.writing import Writing

    run = RunFolder.open(request.folder)
    yield Phase(name="Reading the data")
    corpus = find_dataset(library, request.dataset) if request.dataset else open_run_corpus(library, run)
    data = dataset_rows(corpus)
    check_rows(data.task, data.rows, None, data.name)
    yield Phase(name="Loading the model")
    path = run.checkpoint_path(request.step)
    model, tokenizer = yield from load_model_events(path, choose_device(device).device)
    if tokenizer is None:
        raise ValueError(f"{run.name} has no tokenizer, so it cannot read text.")
    labels = task_of(run.folder, model.config).get("labels", ())
    writing = Writing(template=read_template_config(run.folder))
    found = yield from evaluate(model, tokenizer, data, labels, writing, step=request.step)
    found = yield from with_baselines(found, corpus.rows("train"))
    write_scores(run.folder, found)
