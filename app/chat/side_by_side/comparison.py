"""Has several models reply to one prompt with one seed, and each judge all of the replies."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from PySide6.QtCore import QObject, Signal, Slot

from app.session.chat_model import ChatModel, describe_model
from app.session.device import Device
from app.session.runs import Runs
from app.worker.job import INTERACTIVE, Job
from app.worker.latest_job import LatestJob
from app.worker.worker import Worker
from models.chat.prompting import PromptSettings
from models.events import Event, Phase, TokenMade
from models.inference.reply import ReplyRequest, ReplyStarted, reply_events
from models.library.library import Library
from models.settings.sampling_config import SamplingConfig

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from models.architecture.transformer import AnyModel
    from models.inspect.spans import Judgement
    from models.runs.run_folder import RunFolder


class Candidate(NamedTuple):
    """A checkpoint of a run: its latest one where `step` is None."""

    run_id: str
    step: int | None = None


@dataclass(frozen=True, kw_only=True)
class CandidateOpened(Event):
    """The model of a lane is there; lanes are numbered from 0."""

    candidate: int
    model: ChatModel


@dataclass(frozen=True, kw_only=True)
class CandidateReplied(Event):
    """Something of a lane's reply: ReplyStarted, TokenMade …, ReplyFinished."""

    candidate: int
    event: Event


@dataclass(frozen=True, kw_only=True)
class CandidateJudged(Event):
    """What the model of lane `by` makes of the reply of lane `reply`."""

    reply: int
    by: int
    judgement: Judgement


@dataclass(frozen=True)
class _Loaded:
    model: AnyModel
    tokenizer: Tokenizer
    about: ChatModel


@dataclass(frozen=True)
class _Reply:
    """The tokens of a reply, without the one that ended it, and what the model had read before them."""

    started: ReplyStarted
    ids: list[int]


class SideBySide(QObject):
    """One comparison at a time. Models stay loaded for the next one, as far as that has them, too.

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
        device: Device,
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._job = LatestJob(worker, self)
        self._job.events_received.connect(self._on_events)
        self._job.ended.connect(self.changed)
        self._job.failed.connect(self.failed)
        self._library, self._runs, self._device = library, runs, device
        self._loaded: dict[Path, _Loaded] = {}  # by their checkpoints: the worker's thread alone uses it

    @property
    def busy(self) -> bool:
        """Whether a comparison is going on, or waits for the worker."""
        return self._job.busy

    def start(self, candidates: Sequence[Candidate], prompt: str, sampling: SamplingConfig, system: str = "") -> None:
        """Let every lane's model reply to `prompt`, one after the other; `system`: what those that talk are told first.

        Raises:
            ValueError: where there are not two of them, the prompt is empty, or a run is gone.
        """
        if len(set(candidates)) < 2:
            raise ValueError("There are not two different models to compare: choose another one for one of the sides.")
        if not prompt.strip():
            raise ValueError("The prompt is empty: write what the models shall reply to.")
        folders = [self._runs.find(candidate.run_id).folder for candidate in candidates]
        device = self._device.name

        def make() -> Iterator[Event]:
            from models.runs.run_folder import RunFolder

            runs = [RunFolder.open(folder) for folder in folders]
            paths = [_checkpoint(run, candidate.step) for run, candidate in zip(runs, candidates, strict=True)]
            self._loaded = {path: loaded for path, loaded in self._loaded.items() if path in paths}
            opened = []
            for i, (run, path) in enumerate(zip(runs, paths, strict=True)):
                if path not in self._loaded:
                    self._loaded[path] = yield from self._load(run, path, device)
                opened.append(self._loaded[path])
                yield CandidateOpened(candidate=i, model=opened[-1].about)
            replies = []
            for i, loaded in enumerate(opened):
                replies.append((yield from _reply(i, loaded, prompt, sampling, system)))
            yield from _judge_all(opened, replies)

        self._job.submit(Job("Compare models", make, INTERACTIVE))
        self.changed.emit()

    @Slot()
    def cancel(self) -> None:
        """End it after the token that it is at; what there is stands."""
        self._job.cancel()

    def forget(self) -> None:
        """No comparison is wanted any more."""
        self._job.drop()
        self.changed.emit()

    def _load(self, run: RunFolder, path: Path, device: str) -> Generator[Event, None, _Loaded]:
        from models.device import choose_device
        from models.interop.loading import load_model_events
        from models.library.run_record import checkpoint_step

        choice = choose_device(device)
        yield Phase(name=f"Loading {run.name}")
        model, tokenizer = yield from load_model_events(path, choice.device)
        if tokenizer is None:
            raise ValueError(f"{run.name} has no tokenizer, so text cannot be turned into tokens for it.")
        step = checkpoint_step(path) if path != run.folder else 0
        about = describe_model(self._library, run.id, run, model, tokenizer, step, choice.label)
        return _Loaded(model, tokenizer, about)

    @Slot(object, object)
    def _on_events(self, job: Job, events: tuple[Event, ...]) -> None:
        self.events_received.emit(events)


def _checkpoint(run: RunFolder, step: int | None) -> Path:
    """Where the weights of a step are, or the newest ones; the run's folder where it has no checkpoints."""
    return (run.latest_checkpoint() or run.folder) if step is None else run.checkpoint_path(step)


def _reply(
    candidate: int, loaded: _Loaded, prompt: str, sampling: SamplingConfig, system: str
) -> Generator[Event, None, _Reply]:
    from models.inference.summarising import Summaries

    about, ids = loaded.about, []
    started = ReplyStarted(step=about.step, n_prompt=0)
    if about.mode == "fill":
        raise ValueError(f"{about.name} is an encoder, which writes no replies: choose another model.")
    said = [{"role": "user", "content": prompt}] if about.is_chat_model else prompt
    request = ReplyRequest(messages=said, sampling=sampling, prompting=PromptSettings(system=system))
    with _naming(about):
        for event in reply_events(
            loaded.model, loaded.tokenizer, about.step, about.template_config, request, Summaries()
        ):
            if isinstance(event, ReplyStarted):
                started = event
            elif isinstance(event, TokenMade):
                ids.append(event.id)
            yield CandidateReplied(candidate=candidate, event=event)
    special = loaded.tokenizer.get_added_tokens_decoder()
    if ids and ids[-1] in special and special[ids[-1]].special:
        del ids[-1]
    return _Reply(started, ids)


@contextmanager
def _naming(about: ChatModel) -> Iterator[None]:
    """Of several models, say whose failure it is."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{about.name}: {error}") from error


def _judge_all(opened: Sequence[_Loaded], replies: Sequence[_Reply]) -> Iterator[Event]:
    """What every model makes of every reply, each after the prompt as that model itself reads it."""
    from models.inspect.judging import judge, written
    from models.tokenizers import encode_text

    tokenizers = [loaded.tokenizer.to_str() for loaded in opened]
    for i, reply in enumerate(replies):
        for j, by in enumerate(opened):
            is_same = tokenizers[i] == tokenizers[j]
            ids = reply.ids if is_same else encode_text(by.tokenizer, written(opened[i].tokenizer, reply.ids))
            own = replies[j].started
            with _naming(by.about):
                judgement = judge(by.model, by.tokenizer, own.prompt_ids, ids, source_ids=own.source_ids)
            yield CandidateJudged(reply=i, by=j, judgement=judgement)
