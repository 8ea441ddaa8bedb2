"""Samples a reply of every stage to one prompt with the same seed, compares its log-probability under the stage and its
parent, and scores it with the reward models."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot

from terrarium.app.session.candidates import CandidateReply, candidate_reply, load_candidate
from terrarium.app.session.session import Session
from terrarium.app.worker.job import INTERACTIVE, Job
from terrarium.app.worker.latest_job import LatestJob
from terrarium.models.alignment.stage_tree import LineageNode
from terrarium.models.events import Event, Phase
from terrarium.models.library.library import Library
from terrarium.models.runs.checkpoint_state import BASE
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.sampling_config import SamplingConfig

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from terrarium.app.session.models_in_memory import LoadedModel
    from terrarium.models.architecture.transformer import AnyModel
    from terrarium.models.inspect.spans import Judgement
    from terrarium.models.settings.model_config import ModelConfig


@dataclass(frozen=True, kw_only=True)
class StageReplied(Event):
    """An event of a stage's reply: ReplyStarted, TokenMade …, ReplyFinished."""

    stage: str
    event: Event


@dataclass(frozen=True, kw_only=True)
class StageCompared(Event):
    """The log-probability of a stage's reply under the stage and under its parent.

    `parent` is None if the stage has no parent, or if `problem` says why it could not be computed.
    """

    stage: str
    own: Judgement
    parent: Judgement | None = None
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class RepliesScored(Event):
    """The raw scores that a reward model gives the replies of stages (stage → score); empty with a problem."""

    rewarder: str
    scores: dict[str, float]
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class StageFailed(Event):
    """A stage cannot reply; `problem` says why, in a sentence."""

    stage: str
    problem: str


@dataclass(frozen=True)
class _Answer:
    """A reply with the config and tokenizer needed to score it. No model: only one at a time is in memory."""

    reply: CandidateReply
    config: ModelConfig
    tokenizer: Tokenizer


class StageAsker(QObject):
    """Samples the replies of all stages to one prompt, one stage after the other, unloading each model afterwards.

    Signals:
        changed(): `busy` has changed.
        events_received(events): StageReplied, StageCompared, StageFailed, RepliesScored and Phase, in order.
        failed(failure): an unexpected error.
    """

    changed = Signal()
    events_received = Signal(object)
    failed = Signal(object)

    def __init__(self, session: Session, parent: QObject) -> None:
        super().__init__(parent)
        self._session = session
        self._job = LatestJob(session.worker, self)
        self._job.events_received.connect(self._on_events)
        self._job.ended.connect(self.changed)
        self._job.failed.connect(self.failed)
        session.models.freed.connect(self.cancel)

    @property
    def busy(self) -> bool:
        """Whether a job is running or waiting for the worker."""
        return self._job.busy

    def start(
        self, stages: Sequence[LineageNode], rewarders: Sequence[LineageNode], prompt: str, sampling: SamplingConfig
    ) -> None:
        """Sample a reply of each of `stages` and score the replies with the reward models.

        Raises:
            ValueError: if there is no stage, or the prompt is empty.
        """
        if not stages:
            raise ValueError("No stage is chosen: choose at least one, at the top right.")
        if not prompt.strip():
            raise ValueError("The prompt is empty: write what the stages should reply to.")
        library, device = self._session.library, self._session.device.name
        self._job.submit(
            Job(
                "Ask every stage",
                lambda: _ask_all(library, device, stages, rewarders, prompt, sampling),
                INTERACTIVE,
            )
        )
        self.changed.emit()

    @Slot()
    def cancel(self) -> None:
        """Stop after the current token; the text so far remains."""
        self._job.cancel()

    def forget(self) -> None:
        """Cancel and drop all further events."""
        self._job.drop()
        self.changed.emit()

    @Slot(object, object)
    def _on_events(self, job: Job, events: tuple[Event, ...]) -> None:
        self.events_received.emit(events)


def _ask_all(
    library: Library,
    device: str,
    stages: Sequence[LineageNode],
    rewarders: Sequence[LineageNode],
    prompt: str,
    sampling: SamplingConfig,
) -> Iterator[Event]:
    """Run on the worker thread. An error of one stage is reported for it, and the others continue."""
    answers: dict[str, _Answer] = {}
    for stage in stages:
        try:
            loaded = yield from _loaded(library, stage, device)
            reply = yield from _replied(stage, loaded, prompt, sampling)
            yield Phase(name=f"Comparing {stage.name} with its parent")
            yield from _compared(library, stage, loaded, reply, device)
        except ValueError as error:
            yield StageFailed(stage=stage.id, problem=str(error))
            continue
        answers[stage.id] = _Answer(reply, loaded.model.config, loaded.tokenizer)
        del loaded
    for rewarder in rewarders:
        if answers:
            yield Phase(name=f"{rewarder.name} is scoring the replies")
            try:
                yield from _scored(library, rewarder, answers, device)
            except ValueError as error:
                yield RepliesScored(rewarder=rewarder.id, scores={}, problem=str(error))


def _loaded(library: Library, stage: LineageNode, device: str) -> Generator[Event, None, LoadedModel]:
    """Load the last checkpoint of a stage; raise ValueError if it has none or was deleted."""
    if stage.folder is None:
        raise ValueError(f"{stage.name} is no longer in the library, so it cannot reply: restore it from the trash.")
    run = RunFolder.open(stage.folder)
    path = run.latest_checkpoint()
    if path is None:
        raise ValueError(f"{stage.name} has no checkpoint yet, so it cannot reply: train it first.")
    return (yield from load_candidate(library, run, path, device))


def _replied(
    stage: LineageNode, loaded: LoadedModel, prompt: str, sampling: SamplingConfig
) -> Generator[Event, None, CandidateReply]:
    yield Phase(name=f"{stage.name} is reading the prompt")
    replying = candidate_reply(loaded, prompt, sampling, "")
    while True:
        try:
            event = next(replying)
        except StopIteration as end:
            reply: CandidateReply = end.value
            return reply
        yield StageReplied(stage=stage.id, event=event)


def _compared(
    library: Library, stage: LineageNode, loaded: LoadedModel, reply: CandidateReply, device: str
) -> Iterator[Event]:
    from terrarium.models.inspect.judging import judge

    prompt_ids = reply.started.prompt_ids
    own = judge(loaded.model, loaded.tokenizer, prompt_ids, reply.ids)
    if not stage.parent:
        yield StageCompared(stage=stage.id, own=own)
        return
    try:
        parent = yield from _parent_model(library, stage, device)
        theirs = judge(parent, loaded.tokenizer, prompt_ids, reply.ids)
    except ValueError as error:
        yield StageCompared(stage=stage.id, own=own, problem=str(error))
        return
    yield StageCompared(stage=stage.id, own=own, parent=theirs)


def _parent_model(library: Library, stage: LineageNode, device: str) -> Generator[Event, None, AnyModel]:
    """Load the model that a stage started from: its own copy in base/, or for a fork the checkpoint of its parent.

    Raises:
        ValueError: if it is missing, or has another vocabulary size.
    """
    from terrarium.models.device import choose_device
    from terrarium.models.interop.loading import load_model_events

    assert stage.folder is not None
    path: Path = stage.folder / BASE
    if stage.is_fork or not path.is_dir():  # the base/ of a fork holds the base of its parent
        parent = library.runs / stage.parent
        if not (parent / "run.json").is_file():
            raise ValueError("Its parent is no longer in the library, so what became likelier is unknown.")
        found = RunFolder.open(parent).checkpoint_path(stage.parent_step or 0)
        if not found.is_dir():
            raise ValueError(
                f"Its parent no longer has the checkpoint of step {stage.parent_step or 0:,}, so what became likelier "
                "is unknown."
            )
        path = found
    model, _ = yield from load_model_events(path, choose_device(device).device)
    own = stage.spec.model.vocab_size if stage.spec is not None else model.config.vocab_size
    if model.config.vocab_size != own:
        raise ValueError("Its parent has another tokenizer, so their tokens cannot be compared.")
    return model


def _scored(library: Library, rewarder: LineageNode, answers: dict[str, _Answer], device: str) -> Iterator[Event]:
    from terrarium.models.alignment.reward_model import RewardModel, check_reward_model
    from terrarium.models.alignment.rollouts import reply_end
    from terrarium.models.events import result_of

    judge = yield from _loaded(library, rewarder, device)
    texts = []
    for answer in answers.values():
        check_reward_model(judge.model.config, judge.tokenizer, answer.config, answer.tokenizer, rewarder.name)
        reply = answer.reply
        end = [reply_end(judge.tokenizer)] if reply.ended else []
        texts.append([*reply.started.prompt_ids, *reply.ids, *end][: judge.model.config.context_length])
    scores = result_of(RewardModel(model=judge.model).scores(texts))
    yield RepliesScored(rewarder=rewarder.id, scores=dict(zip(answers, scores, strict=True)))
