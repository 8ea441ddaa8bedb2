"""Samples prompts, and two replies to each, ahead of the judgement. No widgets."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from PySide6.QtCore import QObject, Signal, Slot

from terrarium.app.preferences.candidate_picker import runs_to_pick
from terrarium.app.session.candidates import Candidate, candidate_path, loaded_candidate
from terrarium.app.session.models_in_memory import LoadedModel
from terrarium.app.session.session import Session
from terrarium.app.worker.job import INTERACTIVE, Job
from terrarium.app.worker.latest_job import LatestJob
from terrarium.models.chat.prompting import PromptSettings, with_system
from terrarium.models.events import Event, ReplyFinished, TokenMade
from terrarium.models.inference.reply import ReplyRequest, reply_events
from terrarium.models.preferences.store import Pair, Reply
from terrarium.models.settings.sampling_config import SamplingConfig

if TYPE_CHECKING:
    from terrarium.models.corpora.corpus import Example
    from terrarium.models.runs.run_folder import RunFolder
    from terrarium.models.tiny_world.world import World

JUDGE = "Judge replies"
"""The owner of these models in ModelsInMemory, where each is stored by its checkpoint."""
REPEAT_EVERY = 20
"""Every so many choices, an earlier pair is shown again with its sides swapped."""
N_AHEAD = 3
"""The number of pairs prepared in advance."""
MAX_TOKENS = 200
"""The maximum length of a reply."""
_MAX_TRIES = 6
"""The maximum number of second replies, and of prompts, that are drawn until two replies differ."""
_MAX_SEED = 2**31


class PromptSource(NamedTuple):
    """Where prompts come from: kind "wish" (`name`: a key of WISHES; `seed`: the world's), "dataset" (`name`: its
    folder), or "own" (`name`: the text).
    """

    kind: str
    name: str
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class PairRequest:
    """A request for pairs: a reply of `first` and one of `second`; if they are equal, two replies of one model."""

    first: Candidate
    second: Candidate
    source: PromptSource
    temperature: float = 1.0
    system: str = ""
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class PairMade(Event):
    """Two replies to a prompt that have not been judged yet: the choice is "skip"."""

    pair: Pair


class PairSampler(QObject):
    """Makes the pairs of a request, in an order determined by its seed.

    Signals:
        changed(): pairs were made, or `busy` is new.
        failed(failure): drawing them raised.
    """

    changed = Signal()
    failed = Signal(object)

    def __init__(self, session: Session, parent: QObject) -> None:
        super().__init__(parent)
        self._session = session
        self._job = LatestJob(session.worker, self)
        self._job.events_received.connect(self._on_events)
        self._job.ended.connect(self._on_ended)
        self._job.failed.connect(self.failed)
        session.models.freed.connect(self.stop)
        self.request: PairRequest | None = None
        self._ready: deque[Pair] = deque()
        self._n_made = 0

    @property
    def busy(self) -> bool:
        """Whether pairs are being drawn."""
        return self._job.busy

    @property
    def n_ready(self) -> int:
        """The number of pairs that are ready."""
        return len(self._ready)

    def start(self, request: PairRequest) -> None:
        """Start making the pairs of this request."""
        self.stop()
        self.request, self._n_made = request, 0
        self._fill()

    @Slot()
    def stop(self) -> None:
        """Stop making pairs, and discard those that are ready."""
        self._job.drop()
        self._ready.clear()
        self.request = None
        self.changed.emit()

    def take(self) -> Pair | None:
        """Return the next pair, or None if none is ready; start making more."""
        pair = self._ready.popleft() if self._ready else None
        self._fill()
        return pair

    def put_back(self, pair: Pair) -> None:
        """Put a pair back, to be the next one."""
        self._ready.appendleft(pair)

    def _fill(self) -> None:
        request, session = self.request, self._session
        if request is None or self._job.busy or len(self._ready) >= N_AHEAD:
            return
        try:
            folders = [session.runs.find(each.run_id).folder for each in (request.first, request.second)]
        except ValueError as error:
            self.request = None
            session.notices.refuse(str(error))
            return
        first, n, device = self._n_made, N_AHEAD - len(self._ready), session.device.name
        names = dict(runs_to_pick(session.runs))

        def make() -> Iterator[Event]:
            from terrarium.models.runs.run_folder import RunFolder

            runs = [RunFolder.open(folder) for folder in folders]
            paths = [candidate_path(run, each) for run, each in zip(runs, (request.first, request.second), strict=True)]
            session.models.release(JUDGE, but=paths)
            opened: list[LoadedModel] = []
            for run, path in zip(runs, paths, strict=True):
                opened.append((yield from loaded_chat_model(session, run, path, device)))
            named = [(names.get(loaded.about.run_id, loaded.about.name), loaded) for loaded in opened]
            for index in range(first, first + n):
                yield from _made_pair(session, request, named, index)

        self._job.submit(Job("Draw replies to compare", make, INTERACTIVE))
        self.changed.emit()

    @Slot(object, object)
    def _on_events(self, job: Job, events: tuple[Event, ...]) -> None:
        made = [event.pair for event in events if isinstance(event, PairMade)]
        if made:
            self._ready.extend(made)
            self._n_made += len(made)
            self.changed.emit()

    @Slot(object, object)
    def _on_ended(self, job: Job, failure: object) -> None:
        if failure is not None:
            self.request = None
        self.changed.emit()
        self._fill()


def loaded_chat_model(session: Session, run: RunFolder, path: Path, device: str) -> Generator[Event, None, LoadedModel]:
    """Load a chat model as `loaded_candidate` does, for this page. Call it on the worker thread.

    Raises:
        ValueError: also if the model is not a chat model.
    """
    loaded = yield from loaded_candidate(session.library, session.models, JUDGE, run, path, device)
    if not loaded.about.is_chat_model:
        raise ValueError(f"{run.name} does not reply to messages: choose a chat model.")
    return loaded


def _made_pair(
    session: Session, request: PairRequest, named: list[tuple[str, LoadedModel]], index: int
) -> Iterator[Event]:
    """Draw replies to a prompt until two differ; otherwise try other prompts."""
    for attempt in range(_MAX_TRIES):
        rng = random.Random(f"{request.seed} {index} {attempt}")
        row = _drawn_row(session, request.source, rng)
        prompt = tuple(with_system(row["messages"], PromptSettings(system=request.system)))
        about = {name: value for name, value in row.items() if name in ("wish", "topic", "answer")}
        first = yield from _reply(*named[0], request, row["messages"], rng.randrange(_MAX_SEED))
        for _ in range(_MAX_TRIES):
            second = yield from _reply(*named[1], request, row["messages"], rng.randrange(_MAX_SEED))
            if second.content != first.content:
                pair = Pair(prompt=prompt, a=first, b=second, choice="skip", left=rng.choice("ab"), about=about)
                yield PairMade(pair=pair)
                return
            if not request.temperature:
                break  # greedy decoding repeats the same reply
        if request.source.kind == "own":
            break
    raise ValueError(
        "Both replies are the same, again and again: choose a higher temperature, another prompt or another model."
    )


def _reply(
    name: str, loaded: LoadedModel, request: PairRequest, messages: list[dict[str, str]], seed: int
) -> Generator[Event, None, Reply]:
    from terrarium.models.inference.summarising import SummaryCache

    about, text, reason = loaded.about, "", ""
    sampling = SamplingConfig(temperature=request.temperature, max_tokens=MAX_TOKENS, seed=seed)
    asked = ReplyRequest(messages=messages, sampling=sampling, prompting=PromptSettings(system=request.system))
    events = reply_events(loaded.model, loaded.tokenizer, about.step, about.template_config, asked, SummaryCache())
    for event in events:
        if isinstance(event, TokenMade):
            text += event.text
        elif isinstance(event, ReplyFinished):
            reason = event.reason
        yield event
    return Reply(
        content=text.strip(),
        run=about.run_id,
        model=name,
        step=about.step,
        seed=seed,
        temperature=request.temperature,
        ended=reason == "stop",
    )


def _drawn_row(session: Session, source: PromptSource, rng: random.Random) -> Example:
    """Draw a row whose messages end with a user message."""
    if source.kind == "own":
        return {"messages": [{"role": "user", "content": source.name}]}
    if source.kind == "wish":
        from terrarium.models.tiny_world.wishes import WISHES

        return WISHES[source.name].draw(_world(source.seed), rng, False)
    from terrarium.models.corpora.corpus import open_corpus

    corpus = open_corpus(session.library, source.name)
    rows = corpus.rows("train")
    row: Mapping[str, Any] = rows[rng.randrange(len(rows))]
    messages = list(row["messages"])
    while messages and messages[-1]["role"] != "user":
        messages.pop()
    if not messages:
        raise ValueError(f"{corpus.label!r} has a row without a message of the user: choose other prompts.")
    return {**row, "messages": messages}


@lru_cache(maxsize=4)
def _world(seed: int) -> World:
    from terrarium.models.tiny_world.world import World

    return World(seed)
