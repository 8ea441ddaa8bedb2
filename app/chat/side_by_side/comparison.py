"""Generates replies of several models to one prompt with one seed, and scores each reply with every model."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot

from terrarium.app.session.candidates import (
    Candidate,
    CandidateReply,
    candidate_path,
    candidate_reply,
    loaded_candidate,
    naming,
)
from terrarium.app.session.chat_model import ChatModel
from terrarium.app.session.device import Device
from terrarium.app.session.models_in_memory import LoadedModel, ModelsInMemory
from terrarium.app.session.runs import Runs
from terrarium.app.worker.job import INTERACTIVE, Job
from terrarium.app.worker.latest_job import LatestJob
from terrarium.app.worker.worker import Worker
from terrarium.models.events import Event, Phase
from terrarium.models.library.library import Library
from terrarium.models.settings.sampling_config import SamplingConfig

if TYPE_CHECKING:
    from terrarium.models.inspect.spans import Judgement


SIDE_BY_SIDE = "Compare models"
"""The owner of these models in ModelsInMemory, where each is stored by its checkpoint."""


@dataclass(frozen=True, kw_only=True)
class CandidateOpened(Event):
    """The model of a candidate has been loaded; candidates are numbered from 0."""

    index: int
    model: ChatModel


@dataclass(frozen=True, kw_only=True)
class CandidateReplied(Event):
    """An event of a candidate's reply: ReplyStarted, TokenMade …, ReplyFinished."""

    index: int
    event: Event


@dataclass(frozen=True, kw_only=True)
class CandidateJudged(Event):
    """The log-probabilities of the reply of candidate `reply` under candidate `by`."""

    reply: int
    by: int
    judgement: Judgement


class SideBySide(QObject):
    """Runs one comparison at a time. Models that the next comparison also uses remain loaded.

    Signals:
        changed(): `busy` is new.
        events_received(events): CandidateOpened, CandidateReplied, CandidateJudged and Phase, in order.
        failed(failure): the comparison raised.
    """

    changed = Signal()
    events_received = Signal(object)
    failed = Signal(object)

    def __init__(
        self,
        worker: Worker,
        library: Library,
        runs: Runs,
        models: ModelsInMemory,
        device: Device,
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._job = LatestJob(worker, self)
        self._job.events_received.connect(self._on_events)
        self._job.ended.connect(self.changed)
        self._job.failed.connect(self.failed)
        self._library, self._runs, self._models, self._device = library, runs, models, device
        models.freed.connect(self.cancel)

    @property
    def busy(self) -> bool:
        """Whether a comparison is running or queued."""
        return self._job.busy

    def start(self, candidates: Sequence[Candidate], prompt: str, sampling: SamplingConfig, system: str = "") -> None:
        """Generate the reply of each candidate to `prompt`, in turn; `system`: the system prompt of chat models.

        Raises:
            ValueError: if fewer than two candidates differ, the prompt is empty, or a run no longer exists.
        """
        if len(set(candidates)) < 2:
            raise ValueError("There are not two different models to compare: choose another one in one of the columns.")
        if not prompt.strip():
            raise ValueError("The prompt is empty: write what the models should reply to.")
        folders = [self._runs.find(candidate.run_id).folder for candidate in candidates]
        device = self._device.name

        def make() -> Iterator[Event]:
            from terrarium.models.runs.run_folder import RunFolder

            runs = [RunFolder.open(folder) for folder in folders]
            paths = [candidate_path(run, candidate) for run, candidate in zip(runs, candidates, strict=True)]
            self._models.release(SIDE_BY_SIDE, but=paths)
            opened = []
            for i, (run, path) in enumerate(zip(runs, paths, strict=True)):
                loaded = yield from loaded_candidate(self._library, self._models, SIDE_BY_SIDE, run, path, device)
                opened.append(loaded)
                yield CandidateOpened(index=i, model=opened[-1].about)
            replies = []
            for i, loaded in enumerate(opened):
                yield Phase(name=f"{loaded.about.name} is reading the prompt")
                replies.append((yield from _reply(i, loaded, prompt, sampling, system)))
            yield Phase(name="Comparing the replies")
            yield from _judge_all(opened, replies)

        self._job.submit(Job("Compare models", make, INTERACTIVE))
        self.changed.emit()

    @Slot()
    def cancel(self) -> None:
        """Stop after the current token; the texts so far remain."""
        self._job.cancel()

    def forget(self) -> None:
        """Drop the current comparison."""
        self._job.drop()
        self.changed.emit()

    @Slot(object, object)
    def _on_events(self, job: Job, events: tuple[Event, ...]) -> None:
        self.events_received.emit(events)


def _reply(
    index: int, loaded: LoadedModel, prompt: str, sampling: SamplingConfig, system: str
) -> Generator[Event, None, CandidateReply]:
    replying = candidate_reply(loaded, prompt, sampling, system)
    while True:
        try:
            event = next(replying)
        except StopIteration as end:
            reply: CandidateReply = end.value
            return reply
        yield CandidateReplied(index=index, event=event)


def _judge_all(opened: Sequence[LoadedModel], replies: Sequence[CandidateReply]) -> Iterator[Event]:
    """Score every reply with every model, given the prompt as encoded for that model."""
    from terrarium.models.inspect.judging import judge, reply_text
    from terrarium.models.tokenizers import encode_text

    tokenizers = [loaded.tokenizer.to_str() for loaded in opened]
    for i, reply in enumerate(replies):
        for j, by in enumerate(opened):
            is_same = tokenizers[i] == tokenizers[j]
            ids = reply.ids if is_same else encode_text(by.tokenizer, reply_text(opened[i].tokenizer, reply.ids))
            own = replies[j].started
            with naming(by.about):
                judgement = judge(by.model, by.tokenizer, own.prompt_ids, ids, source_ids=own.source_ids)
            yield CandidateJudged(reply=i, by=j, judgement=judgement)
