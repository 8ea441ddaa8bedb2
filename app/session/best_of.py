"""Best-of-n replies: list the reward models of the library, and load one."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from terrarium.app.session.candidates import loaded_alone
from terrarium.app.session.models_in_memory import ModelsInMemory
from terrarium.models.events import Event
from terrarium.models.library.library import Library, RunInfo

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from terrarium.models.alignment.reward_model import RewardModel
    from terrarium.models.architecture.transformer import AnyModel

REWARD_MODEL = "Reward model"
"""The name under which ModelsInMemory keeps the reward model."""


class BestOf(NamedTuple):
    """Best-of-n sampling: n replies, ranked by the reward model of the run `run_id`, which is called `name`."""

    run_id: str
    name: str
    n: int


@dataclass(frozen=True, kw_only=True)
class RewardModelInfo:
    """A reward model of the library; `problem`: why it cannot score the open model's replies, in a few words, or ""."""

    run_id: str
    name: str
    problem: str = ""


def reward_models(runs: list[RunInfo], tokenizer: str) -> list[RewardModelInfo]:
    """List the reward models among runs, the usable ones first. Reads their files: call it in the background.

    tokenizer: the open model's tokenizer, serialized with `Tokenizer.to_str`.
    """
    found = []
    for info in runs:
        if info.has_model and _is_reward_model(info.folder):
            is_same = _tokenizer_of(info.folder) == tokenizer
            problem = "" if is_same else "another tokenizer"
            found.append(RewardModelInfo(run_id=info.id, name=info.name, problem=problem))
    return sorted(found, key=lambda model: bool(model.problem))


def _is_reward_model(folder: Path) -> bool:
    """Return whether the model of a run is a reward model; False if its record cannot be read."""
    from terrarium.models.runs.run_folder import RunFolder

    try:
        return RunFolder.open(folder).spec.model.is_reward_model
    except ValueError:
        return False


def _tokenizer_of(folder: Path) -> str:
    from terrarium.models.tokenizers.store import read_tokenizer

    try:
        return str(read_tokenizer(folder / "tokenizer.json").to_str())
    except ValueError:
        return ""


def loaded_reward_model(
    library: Library, models: ModelsInMemory, info: RunInfo, model: AnyModel, tokenizer: Tokenizer, device: str
) -> Generator[Event, None, RewardModel]:
    """On the worker thread: return a run's reward model, cached for the next reply. Yields the events of loading.

    Args:
        model, tokenizer: the model whose replies are scored, and its tokenizer.

    Raises:
        ValueError: if it is not a reward model, or cannot score the replies of that model.
    """
    from terrarium.models.alignment.reward_model import RewardModel, check_reward_model

    loaded = yield from loaded_alone(library, models, REWARD_MODEL, info, device)
    check_reward_model(loaded.model.config, loaded.tokenizer, model.config, tokenizer, loaded.name)
    return RewardModel(model=loaded.model)
