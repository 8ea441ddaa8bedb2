"""The contents of the library for Home, read on a background thread: the newest models, and what the user has tried."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from terrarium.app.home.next_step import NamedRun
from terrarium.app.session.chat_model import PRONOUNS, writes_text
from terrarium.models.evaluation.record import read_comparison, read_evaluation
from terrarium.models.evaluation.text_verdict import BEYOND, EQUAL, short_words, title_of, verdict_of
from terrarium.models.events import TextCompared
from terrarium.models.library.library import Library
from terrarium.models.library.lowest_loss import find_lowest_loss
from terrarium.models.library.run_index import RunIndex
from terrarium.models.library.run_record import RunInfo
from terrarium.models.metrics.metrics_table import METRICS, format_score
from terrarium.models.number_words import capitalized, format_date, format_of_100
from terrarium.models.settings.run_spec import RunSpec
from terrarium.models.tasks.pronouns.evaluation import read_pronouns
from terrarium.models.training.proposal.longer import why_not_longer

MAX_SHOWN = 4
"""The maximum number of models on Home; all are in the list of the training tab."""
_Found = TypeVar("_Found")
_UNFINISHED = ("interrupted", "paused")


@dataclass(frozen=True, kw_only=True)
class ModelSummary:
    """A model as shown on Home. quality: a description of its measured quality; when: its creation time.

    is_pronouns: it resolves what “it” refers to. writes: it continues texts or replies. has_steps: it was trained
    here, so its training can be replayed. why_not_longer: why it cannot be trained longer, or "".
    """

    id: str
    name: str
    quality: str
    when: str
    is_pronouns: bool = False
    writes: bool = True
    has_steps: bool = True
    why_not_longer: str = ""


@dataclass(frozen=True, kw_only=True)
class LibraryOverview:
    """The models to show, the number of all models, and facts for the next step (see LibraryFacts)."""

    models: Sequence[ModelSummary] = ()
    n_models: int = 0
    newest: NamedRun | None = None
    interrupted: NamedRun | None = None
    has_chatted: bool = False
    has_own_text: bool = False
    has_task: bool = False


def read_overview(library: Library, index: RunIndex) -> LibraryOverview:
    """Read the library, and the measurements of the models to show. Slow: do not call it on the window's thread."""
    infos = index.refresh(gives_way=True)
    models = [info for info in infos if info.has_model]
    grown = [info for info in models if info.status != "imported"]
    sources = [info.spec.data.source for info in infos if info.spec is not None]
    unfinished = next((info for info in infos[:1] if info.status in _UNFINISHED and info.has_model), None)
    writing = next((info for info in grown if _writes(info)), None)
    return LibraryOverview(
        models=tuple(_read_model(info) for info in _shown(models)),
        n_models=len(models),
        newest=_name(writing) if writing is not None else None,
        interrupted=NamedRun(unfinished.id, unfinished.name) if unfinished is not None else None,
        has_chatted=next(library.chats.glob("*.json"), None) is not None,
        has_own_text="files" in sources,
        has_task="dataset" in sources,
    )


def _name(info: RunInfo) -> NamedRun:
    compared = _read(read_comparison, info)
    if compared is None or compared.model is None:
        return NamedRun(info.id, info.name)
    is_grown = verdict_of(compared) in (BEYOND, EQUAL)
    return NamedRun(info.id, info.name, title_of(compared), is_grown)


def describe_quality(
    info: RunInfo,
    questions: float | None = None,
    pronouns: float | None = None,
    compared: TextCompared | None = None,
) -> str:
    """Describe the quality of a model in a few words.

    The first available measure is used: its accuracy on held-out questions or pronouns, its comparison with a table of
    its text, its task's metric, its validation loss. A model in training has no number here: it is “Still learning”.
    """
    if info.status == "running":
        return "Still learning"
    unfinished = f"{info.status} at step {info.step:,} of {info.total_steps:,}" if info.step < info.total_steps else ""
    if questions is not None:
        measured = f"right in {format_of_100(questions)} questions it had never seen"
    elif pronouns is not None:
        measured = f"knows what “it” is in {format_of_100(pronouns)} sentences it had never seen"
    elif compared is not None and compared.model is not None:
        measured, unfinished = short_words(compared), ""
    elif info.best_metric is not None:
        name, value = info.best_metric
        aligned = info.spec is not None and info.spec.align is not None
        measured = f"{METRICS[name].title} {format_score(name, value)}"
        if aligned and name == "accuracy":
            measured += " of held-out pairs"
    elif info.best_loss is not None and info.spec is not None and _predicts_text(info.spec):
        n = math.exp(min(info.best_loss, 700.0))
        measured = f"hesitates between about {n:,.{0 if n >= 10 else 1}f} tokens (validation loss {info.best_loss:.2f})"
    elif info.best_loss is not None:
        measured = f"validation loss {info.best_loss:.3f}"
    else:
        measured = "imported" if info.status == "imported" else "not measured"
    return capitalized("; ".join(filter(None, (measured, unfinished))))


def _shown(models: Sequence[RunInfo]) -> Sequence[RunInfo]:
    """Return the newest models; the longest-trained text model replaces the last one if it is not among them.

    Otherwise the short runs of the guide would displace it.
    """
    writing = [info for info in models if _writes(info) and info.status != "imported"]
    longest = max(writing, key=lambda info: info.step, default=None)
    newest = models[:MAX_SHOWN]
    return newest if longest is None or longest in newest else (*newest[:-1], longest)


def _read_model(info: RunInfo) -> ModelSummary:
    questions, pronouns = _read(read_evaluation, info), _read(read_pronouns, info)
    if info.best_loss is None and info.best_metric is None:
        lowest = find_lowest_loss(info.folder)
        info = replace(info, best_loss=lowest.loss, best_metric=lowest.metric)
    return ModelSummary(
        id=info.id,
        name=info.name,
        quality=describe_quality(
            info,
            None if questions is None else questions.accuracy,
            None if pronouns is None else pronouns.accuracy,
            _read(read_comparison, info),
        ),
        when=format_date(info.created),
        is_pronouns=info.spec is not None and info.spec.data.source == PRONOUNS,
        writes=_writes(info),
        has_steps=info.status != "imported",
        why_not_longer=why_not_longer(info),
    )


def _read(read: Callable[[Path], _Found | None], info: RunInfo) -> _Found | None:
    """Read a measurement of a run; None if it is missing or its file is damaged."""
    try:
        return read(info.folder)
    except ValueError:
        return None


def _predicts_text(spec: RunSpec) -> bool:
    return spec.data.source != PRONOUNS and not spec.learned_task and spec.align is None


def _writes(info: RunInfo) -> bool:
    return info.spec is not None and writes_text(info.spec)
