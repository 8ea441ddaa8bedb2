"""Checkpoints that reply beside the open model: identify them, load them, generate their replies. No widgets."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from terrarium.app.session.chat_model import ChatModel, describe_model
from terrarium.app.session.models_in_memory import LoadedModel, ModelsInMemory
from terrarium.models.chat.prompting import PromptSettings
from terrarium.models.events import Event, Phase, ReplyFinished, TokenMade
from terrarium.models.inference.reply import ReplyRequest, ReplyStarted, reply_events
from terrarium.models.library.library import Library, RunInfo
from terrarium.models.settings.sampling_config import SamplingConfig

if TYPE_CHECKING:
    from terrarium.models.runs.run_folder import RunFolder


class Candidate(NamedTuple):
    """A checkpoint of a run; the latest one if `step` is None."""

    run_id: str
    step: int | None = None


def candidate_path(run: RunFolder, candidate: Candidate) -> Path:
    """On the worker thread: return the path of a candidate's checkpoint, or the run's folder if it has none."""
    if candidate.step is not None:
        return run.checkpoint_path(candidate.step)
    return run.latest_checkpoint() or run.folder


def loaded_candidate(
    library: Library, models: ModelsInMemory, user: str, run: RunFolder, path: Path, device: str
) -> Generator[Event, None, LoadedModel]:
    """On the worker thread: return the model at a path from `user`'s models in memory, loading it first if missing.

    Yields Phase and the events of loading. Raises ValueError if it cannot be loaded or has no tokenizer.
    """
    found = models.get(user, path)
    if found is None:
        found = yield from load_candidate(library, run, path, device)
        models.put(user, path, found)
    return found


def loaded_alone(
    library: Library, models: ModelsInMemory, user: str, info: RunInfo, device: str
) -> Generator[Event, None, LoadedModel]:
    """Like `loaded_candidate`, for a run's latest checkpoint; releases all other models of `user`."""
    from terrarium.models.runs.run_folder import RunFolder

    run = RunFolder.open(info.folder)
    path = candidate_path(run, Candidate(info.id))
    models.release(user, but=(path,))
    return (yield from loaded_candidate(library, models, user, run, path, device))


def load_candidate(library: Library, run: RunFolder, path: Path, device: str) -> Generator[Event, None, LoadedModel]:
    """Like `loaded_candidate`, but does not keep the model in memory."""
    from terrarium.models.device import choose_device
    from terrarium.models.interop.loading import load_model_events
    from terrarium.models.library.run_record import checkpoint_step

    choice = choose_device(device)
    yield Phase(name=f"Loading {run.name}")
    model, tokenizer = yield from load_model_events(path, choice.device)
    if tokenizer is None:
        raise ValueError(f"{run.name} has no tokenizer, so text cannot be turned into tokens for it.")
    step = checkpoint_step(path) if path != run.folder else 0
    about = describe_model(library, run.id, run, model, tokenizer, step, choice.label)
    return LoadedModel(run.name, model, tokenizer, step, about)


@dataclass(frozen=True, kw_only=True)
class CandidateReply:
    """A candidate's reply.

    started: the event that describes its prompt. ids: its tokens, without the end token. ended: whether it stopped
    before the length limit.
    """

    started: ReplyStarted
    ids: list[int]
    ended: bool


def candidate_reply(
    loaded: LoadedModel, prompt: str, sampling: SamplingConfig, system: str
) -> Generator[Event, None, CandidateReply]:
    """On the worker thread: generate a reply to a prompt. `system`: the system prompt of chat models.

    Yields ReplyStarted, TokenMade …, ReplyFinished. Raises ValueError, with the model's name, if it cannot reply.
    """
    from terrarium.models.inference.summarising import SummaryCache

    about, ids, ended = loaded.about, list[int](), False
    started = ReplyStarted(step=about.step, n_prompt=0)
    if not about.writes:
        raise ValueError(f"{about.name} writes no texts and cannot reply: choose another model.")
    messages = [{"role": "user", "content": prompt}] if about.is_chat_model else prompt
    request = ReplyRequest(messages=messages, sampling=sampling, prompting=PromptSettings(system=system))
    with naming(about):
        for event in reply_events(
            loaded.model, loaded.tokenizer, about.step, about.template_config, request, SummaryCache()
        ):
            if isinstance(event, ReplyStarted):
                started = event
            elif isinstance(event, TokenMade):
                ids.append(event.id)
            elif isinstance(event, ReplyFinished):
                ended = event.reason == "stop"
            yield event
    special = loaded.tokenizer.get_added_tokens_decoder()
    if ids and ids[-1] in special and special[ids[-1]].special:
        del ids[-1]
    return CandidateReply(started=started, ids=ids, ended=ended)


@contextmanager
def naming(about: ChatModel) -> Iterator[None]:
    """Prefix the message of a ValueError with the model's name."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{about.name}: {error}") from error
