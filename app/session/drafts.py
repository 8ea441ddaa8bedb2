"""Draft models for speculative decoding: list the runs of the library that can draft, and load one."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from terrarium.app.session.candidates import loaded_alone
from terrarium.app.session.models_in_memory import LoadedModel, ModelsInMemory
from terrarium.models.custom_blocks.store import check_blocks
from terrarium.models.events import Event
from terrarium.models.library.library import Library, RunInfo

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from terrarium.models.architecture.transformer import AnyModel
    from terrarium.models.settings.model_config import ModelConfig

DRAFT_MODEL = "Draft model"
"""The name under which ModelsInMemory keeps the draft model."""


class Drafting(NamedTuple):
    """Speculative decoding of a reply: the model of the run `run_id`, called `name`, drafts n_tokens at a time."""

    run_id: str
    name: str
    n_tokens: int


@dataclass(frozen=True, kw_only=True)
class DraftModelInfo:
    """A run whose model can draft for the open one."""

    run_id: str
    name: str
    n_parameters: int


def draft_models(runs: list[RunInfo], open_run: str, config: ModelConfig, tokenizer: Tokenizer) -> list[DraftModelInfo]:
    """List the runs whose models can draft for the model of the run `open_run`, the smallest first.

    Reads their files: call it in the background. config, tokenizer: of the model of `open_run`.
    """
    from terrarium.models.design import total_parameters
    from terrarium.models.runs.run_folder import RunFolder
    from terrarium.models.tokenizers.store import read_tokenizer

    found, vocabulary = [], tokenizer.get_vocab()
    for info in runs:
        if not info.has_model or info.id == open_run:
            continue
        try:
            design = RunFolder.open(info.folder).spec.model
            can_write = (design.topology, design.head) == ("decoder-only", "language")
            if not can_write or design.vocab_size != config.vocab_size:
                continue
            if read_tokenizer(info.folder / "tokenizer.json").get_vocab() != vocabulary:
                continue
            check_blocks(design)  # its number of parameters may be known from when they could run
            n_parameters = total_parameters(design)
        except ValueError:  # a damaged run cannot draft, nor one with a custom block that may not run
            continue
        found.append(DraftModelInfo(run_id=info.id, name=info.name, n_parameters=n_parameters))
    return sorted(found, key=lambda draft: draft.n_parameters)


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
