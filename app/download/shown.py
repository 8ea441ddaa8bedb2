"""Models as the page “Models” shows them: from the short list, the hub, another program, or the library. No Qt."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from terrarium.app.kit.setting_names.preset_words import known_parameters
from terrarium.models.interop.hub.catalogue import PURPOSES, ListedModel, open_bytes
from terrarium.models.library.library import RunInfo
from terrarium.models.number_words import format_compact, format_size

if TYPE_CHECKING:
    from terrarium.models.interop.hub.hub_models import HubModel, ModelDetails
    from terrarium.models.interop.hub.on_disk import FoundModel

_MAX_DETAIL = 3


@dataclass(frozen=True, kw_only=True)
class ShownModel:
    """A model as an entry of a list and as a card.

    Attributes:
        key: what identifies it in a list.
        id: owner/name on the hub, "" for one on this computer.
        file: its GGUF file, "" for the proposed one.
        path: where another program's model is. run_id: the run of a model in the library.
        detail: the second line in a list. facts: short texts about it. sentence: its intended use.
        n_parameters, context (tokens), n_bytes (of the download, about; in the library, on disk), memory (bytes that it
            takes, about): 0 if unknown.
        problem: why it cannot run here.
    """

    key: str
    name: str
    id: str = ""
    file: str = ""
    path: Path | None = None
    run_id: str = ""
    detail: str = ""
    facts: tuple[str, ...] = ()
    sentence: str = ""
    n_parameters: int = 0
    context: int = 0
    n_bytes: int = 0
    memory: int = 0
    problem: str = ""


def of_list(model: ListedModel) -> ShownModel:
    """Describe a model of the short list."""
    return ShownModel(
        key=f"listed/{model.id}",
        name=model.name,
        id=model.id,
        file=model.file,
        detail=f"{PURPOSES[model.purpose]}  ·  about {format_size(model.bytes)}",
        facts=(f"licence: {model.licence}", model.architecture),
        sentence=model.good_for,
        n_parameters=model.parameters,
        context=model.context,
        n_bytes=model.bytes,
        memory=model.memory,
    )


def of_search(model: HubModel) -> ShownModel:
    """Describe a result of a hub search."""
    parameters = f"{format_compact(model.n_parameters, billion='B')} parameters" if model.n_parameters else ""
    parts = [parameters, f"{format_compact(model.downloads)} downloads", model.licence, "gated" if model.gated else ""]
    return ShownModel(
        key=f"hub/{model.id}",
        name=model.id,
        id=model.id,
        detail="  ·  ".join([part for part in parts if part][:_MAX_DETAIL]),
        facts=_facts(model),
        n_parameters=model.n_parameters or 0,
        memory=open_bytes(model.n_parameters or 0),
        problem=model.problem,
    )


def with_details(shown: ShownModel, details: ModelDetails, file: str = "") -> ShownModel:
    """Return the model with the details from the hub; `file`: the chosen variant."""
    variant = details.variant(file) if details.variants else None
    return replace(
        shown,
        file=variant.name if variant is not None and variant.is_gguf else "",
        facts=_facts(details.model),
        n_parameters=details.n_parameters,
        context=details.context,
        n_bytes=variant.n_bytes if variant is not None else 0,
        memory=open_bytes(details.n_parameters),
        problem=details.problem,
    )


def of_disk(model: FoundModel) -> ShownModel:
    """Describe a model that another program has downloaded."""
    return ShownModel(
        key=f"disk/{model.path}",
        name=model.name,
        path=model.path,
        detail=f"{model.program}  ·  {format_size(model.n_bytes)}",
        facts=(f"of {model.program}", format_size(model.n_bytes)),
        sentence=str(model.path),
    )


def of_run(run: RunInfo) -> ShownModel:
    """Describe a model of the library."""
    how = "imported" if run.status == "imported" else f"trained to step {run.step:,}"
    n = (known_parameters(run.spec.model) or 0) if run.spec is not None else 0
    return ShownModel(
        key=f"run/{run.id}",
        name=run.name,
        run_id=run.id,
        detail=f"In your library  ·  {how}" + (f"  ·  {format_compact(n, billion='B')} parameters" if n else ""),
        facts=("imported" if run.status == "imported" else "trained here",),
        n_parameters=n,
        context=run.spec.model.context_length if run.spec is not None else 0,
        n_bytes=run.size_bytes or 0,
        memory=open_bytes(n),
    )


def _facts(model: HubModel) -> tuple[str, ...]:
    gated = "gated" if model.gated else ""
    parts = (f"licence: {model.licence or 'not stated'}", gated, model.architecture, model.task)
    return tuple(part for part in parts if part)
