"""Second models for replies: a draft for speculative decoding, a judge for best-of-n. Lists and loads them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from terrarium.app.session.candidates import loaded_alone
from terrarium.app.session.models_in_memory import LoadedModel, ModelsInMemory
from terrarium.models.custom_blocks.store import check_blocks
from terrarium.models.events import Event
from terrarium.models.library.library import Library, RunInfo

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from terrarium.models.alignment.reward_model import RewardModel
    from terrarium.models.architecture.transformer import AnyModel
    from terrarium.models.settings.model_config import ModelConfig

DRAFT_MODEL, REWARD_MODEL = "Draft model", "Reward model"
"""The names under which ModelsInMemory keeps the two."""


class Drafting(NamedTuple):
    """Speculative decoding of a reply: the model of the run `run_id`, called `name`, drafts n_tokens at a time."""

    run_id: str
    name: str
    n_tokens: int


class BestOf(NamedTuple):
    """Best-of-n sampling: n replies, ranked by the reward model of the run `run_id`, which is called `name`."""

    run_id: str
    name: str
    n: int


@dataclass(frozen=True, kw_only=True)
class SecondModel:
    """A model of the library beside the open one; `problem`: why it cannot be used with it, in a few words, or ""."""

    run_id: str
    name: str
    n_parameters: int = 0
    problem: str = ""


def draft_models(
    runs: Sequence[RunInfo], open_run: str, config: ModelConfig, tokenizer: Tokenizer
) -> list[SecondModel]:
    """List the runs whose models can draft for the model of the run `open_run`, the smallest first.

    Reads their files: call it in the background. config, tokenizer: of the model of `open_run`.
    """
    from terrarium.models.design import total_parameters

    found, vocabulary = [], tokenizer.get_vocab()
    for info, design, read_tokenizer in _readable(runs):
        can_write = (design.topology, design.head) == ("decoder-only", "language")
        if info.id == open_run or not can_write or design.vocab_size != config.vocab_size:
            continue
        try:
            if read_tokenizer().get_vocab() != vocabulary:
                continue
            check_blocks(design)  # its number of parameters may be known from when they could run
            n_parameters = total_parameters(design)
        except ValueError:  # a damaged run cannot draft, nor one with a custom block that may not run
            continue
        found.append(SecondModel(run_id=info.id, name=info.name, n_parameters=n_parameters))
    return sorted(found, key=lambda draft: draft.n_parameters)


def reward_models(runs: Sequence[RunInfo], tokenizer: str) -> list[SecondModel]:
    """List the reward models among runs, the usable ones first. Reads their files: call it in the background.

    tokenizer: the open model's tokenizer, serialized with `Tokenizer.to_str`.
    """
    found = []
    for info, design, read_tokenizer in _readable(runs):
        if design.is_reward_model:
            try:
                is_same = str(read_tokenizer().to_str()) == tokenizer
            except ValueError:
                is_same = False
            problem = "" if is_same else "another tokenizer"
            found.append(SecondModel(run_id=info.id, name=info.name, problem=problem))
    return sorted(found, key=lambda model: bool(model.problem))


def _readable(runs: Sequence[RunInfo]) -> Iterator[tuple[RunInfo, ModelConfig, Callable[[], Tokenizer]]]:
    """Yield each run with a model whose record can be read, its design, and what reads its tokenizer or raises."""
    from terrarium.models.runs.run_folder import RunFolder
    from terrarium.models.tokenizers.store import read_tokenizer

    for info in runs:
        try:
            design = RunFolder.open(info.folder).spec.model if info.has_model else None
        except ValueError:
            continue
        if design is not None:
            yield info, design, partial(read_tokenizer, info.folder / "tokenizer.json")


def loaded_draft(
    library: Library, models: ModelsInMemory, info: RunInfo, model: AnyModel, tokenizer: Tokenizer, device: str
) -> Generator[Event, None, LoadedModel]:
    """On the worker thread: return a run's draft model, cached for the next reply. Yields the events of loading.

    Args:
        model, tokenizer: the target model that it drafts for, and its tokenizer.

    Raises:
        ValueError: if it cannot draft for that model.
    """
    from terrarium.models.inference.speculative import check_draft

    loaded = yield from loaded_alone(library, models, DRAFT_MODEL, info, device)
    check_draft(model, tokenizer, loaded.model, loaded.tokenizer, loaded.name)
    return loaded


def loaded_reward_model(
    library: Library, models: ModelsInMemory, info: RunInfo, model: AnyModel, tokenizer: Tokenizer, device: str
) -> Generator[Event, None, RewardModel]:
    """Like `loaded_draft`, for the reward model that scores the replies of `model`."""
    from terrarium.models.alignment.reward_model import RewardModel, check_reward_model

    loaded = yield from loaded_alone(library, models, REWARD_MODEL, info, device)
    check_reward_model(loaded.model.config, loaded.tokenizer, model.config, tokenizer, loaded.name)
    return RewardModel(model=loaded.model)
