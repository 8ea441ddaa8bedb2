"""The newest pronoun models of the library, evaluated on two sentences on the worker thread."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal, Slot

from terrarium.app.session.models_in_memory import LoadedModel, ModelsInMemory
from terrarium.app.worker.job import INTERACTIVE, Job
from terrarium.app.worker.latest_job import LatestJob
from terrarium.app.worker.worker import Worker
from terrarium.models.events import Event
from terrarium.models.library.library import Library
from terrarium.models.library.run_record import RESUMABLE
from terrarium.models.tasks.pronouns.pronoun_reading import NounScores

if TYPE_CHECKING:
    from terrarium.models.inspect.minimal_pair import PairReading
    from terrarium.models.tasks.pronouns.evaluation import PronounEvaluation

PRONOUNS = "Minimal pairs"
"""The owner of these models in ModelsInMemory, where each is stored by its topology."""
Texts = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class PronounModel:
    """A pronoun model of the library, and its answers for two sentences.

    is_unfinished: whether its training was stopped before `total_steps`. problem: why the sentences cannot be encoded,
    '' if they can.
    """

    run_id: str
    name: str
    step: int
    total_steps: int
    is_unfinished: bool
    evaluation: PronounEvaluation
    reading: PairReading | None = None
    nouns: tuple[NounScores, NounScores] | None = None
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class PronounAnswer(Event):
    """The answers of the newest model of each topology for `texts`."""

    texts: Texts
    models: Mapping[str, PronounModel]


class PronounControl(QObject):
    """Finds the models, queries them, and saves their held-out accuracy with their runs.

    Signals:
        changed(): `busy` has changed.
        failed(failure): the latest query raised.
        answered(PronounAnswer): the answer to the latest query.
    """

    changed = Signal()
    failed = Signal(object)
    answered = Signal(object)

    def __init__(self, worker: Worker, library: Library, models: ModelsInMemory, parent: QObject) -> None:
        super().__init__(parent)
        self._job = LatestJob(worker, self)
        self._job.events_received.connect(self._on_events)
        self._job.ended.connect(self.changed)
        self._job.failed.connect(self.failed)
        self._library, self._models = library, models
        self._topologies: dict[str, str] = {}  # run id -> topology ("" for other runs); worker thread only
        models.freed.connect(self.forget)

    @property
    def busy(self) -> bool:
        """Whether a query is running or queued."""
        return self._job.busy

    def ask(self, texts: Texts) -> None:
        """Resolve “it” in both sentences with the existing models."""

        def make() -> Iterator[Event]:
            models: dict[str, PronounModel] = {}
            for topology, folder in self._newest().items():
                models[topology] = self._ask(topology, folder, texts)
            yield PronounAnswer(texts=texts, models=models)

        self._job.submit(Job("Resolve pronouns", make, INTERACTIVE))
        self.changed.emit()

    @Slot()
    def forget(self) -> None:
        """Drop the current query."""
        self._job.drop()
        self.changed.emit()

    @Slot(object, object)
    def _on_events(self, job: Job, events: tuple[Event, ...]) -> None:
        for event in events:
            if isinstance(event, PronounAnswer):
                self.answered.emit(event)

    # -- On the worker thread ------------------------------------------------------------------------------------------

    def _newest(self) -> dict[str, Path]:
        """Return the newest run of each topology that was trained on pronouns and has a checkpoint."""
        from terrarium.models.runs.run_folder import RunFolder

        found: dict[str, RunFolder] = {}
        for folder in sorted(self._library.runs.glob("*/run.json")):
            name = folder.parent.name
            if self._topologies.get(name) == "":
                continue
            with contextlib.suppress(ValueError):  # damaged, or being deleted
                run = RunFolder.open(folder.parent)
                topology = run.spec.model.topology if run.spec.data.source == "pronouns" else ""
                self._topologies[name] = topology
                older = found.get(topology)
                if topology and run.latest_checkpoint() and (older is None or older.created < run.created):
                    found[topology] = run
        return {topology: run.folder for topology, run in found.items()}

    def _ask(self, topology: str, folder: Path, texts: Texts) -> PronounModel:
        from terrarium.models.inspect.minimal_pair import read_pair
        from terrarium.models.runs.run_folder import RunFolder
        from terrarium.models.tasks.pronouns.pronoun_reading import prepare_text, read_sentence
        from terrarium.models.tasks.pronouns.resolving import noun_scores

        run = RunFolder.open(folder)
        loaded = self._load(topology, run)
        known = PronounModel(
            run_id=run.id,
            name=run.name,
            step=loaded.step,
            total_steps=run.spec.train.steps,
            is_unfinished=run.status in RESUMABLE and loaded.step < run.spec.train.steps,
            evaluation=loaded.about[1],
        )
        readings = []
        for name, text in zip("AB", texts, strict=True):
            try:
                readings.append(read_sentence(loaded.tokenizer, text))
            except ValueError as error:
                return dataclasses.replace(known, problem=f"Sentence {name}: {error}")
        try:
            pair = read_pair(loaded.model, loaded.tokenizer, (prepare_text(texts[0]), prepare_text(texts[1])))
        except ValueError as error:
            return dataclasses.replace(known, problem=str(error))
        first, second = (noun_scores(loaded.model, reading) for reading in readings)
        return dataclasses.replace(known, reading=pair, nouns=(first, second))

    def _load(self, topology: str, run: Any) -> LoadedModel:
        """Load the model of the latest checkpoint, and evaluate it if necessary; `about`: (checkpoint, evaluation)."""
        from terrarium.models.interop.loading import load_model
        from terrarium.models.library.run_record import checkpoint_step
        from terrarium.models.tasks.pronouns.evaluation import read_pronouns, write_pronouns
        from terrarium.models.tasks.pronouns.resolving import evaluate_pronouns

        checkpoint = run.latest_checkpoint()
        known = self._models.get(PRONOUNS, topology)
        if known is not None and known.about[0] == checkpoint:
            return known
        model, tokenizer = load_model(checkpoint)
        assert tokenizer is not None
        step = checkpoint_step(checkpoint)
        evaluation = None
        with contextlib.suppress(ValueError):  # damaged: evaluated again
            evaluation = read_pronouns(run.folder)
        if evaluation is None or evaluation.step != step:
            evaluation = evaluate_pronouns(model, tokenizer, step)
            with contextlib.suppress(OSError):  # a full disk: evaluated again the next time
                write_pronouns(run.folder, evaluation)
        loaded = LoadedModel(run.name, model, tokenizer, step, (checkpoint, evaluation))
        self._models.put(PRONOUNS, topology, loaded)
        return loaded
