"""The results of a sweep: its runs, found by their tag, with the settings that vary. No torch import."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from models.library.library import Library
from models.library.run_index import RunIndex
from models.library.run_notes import clean_tags
from models.library.run_record import RunInfo
from models.runs.run_folder import RunFolder
from models.runs.run_queue import RunQueue
from models.settings.spec_changes import differing_settings

PREFIX = "sweep-"


@dataclass(frozen=True, kw_only=True)
class SweepRun:
    """One run of a sweep; `values` are those of the settings that vary, as "train.lr" -> 0.003.

    `best_loss` is its lowest validation loss in nats per token, None before the first validation.
    """

    id: str
    name: str
    status: str
    best_loss: float | None
    values: dict[str, Any]


def sweep_tag(library: Library, name: str) -> str:
    """A tag for a new sweep that neither a run nor an item of the queue has."""
    taken = {tag for info in library.list_runs() for tag in info.tags}
    with suppress(ValueError):  # a damaged queue is reported when something is added to it
        taken |= {tag for item in RunQueue(library).items() for tag in item.tags}
    (begin,) = clean_tags([f"{PREFIX}{name}"])
    tags = (begin if n == 1 else f"{begin}-{n}" for n in itertools.count(1))
    return next(tag for tag in tags if tag not in taken)


def sweep_runs(library: Library, tag: str) -> list[SweepRun]:
    """The runs with this tag, the best first, those without a loss last; damaged ones are left out."""
    index = RunIndex(library.runs)
    index.refresh()
    for _ in index.measure():
        pass
    return compare_runs([info for info in index.infos() if tag in info.tags])


def compare_runs(infos: Sequence[RunInfo]) -> list[SweepRun]:
    """Any runs with the settings that vary among them, the best first; damaged ones are left out."""
    whole = [info for info in infos if info.problem is None]
    if not whole:
        return []
    names = differing_settings([RunFolder.open(info.folder).spec for info in whole])
    runs = [
        SweepRun(
            id=info.id,
            name=info.name,
            status=info.status,
            best_loss=info.best_loss,
            values={name: values[i] for name, values in names.items()},
        )
        for i, info in enumerate(whole)
    ]
    return sorted(runs, key=lambda run: (run.best_loss is None, run.best_loss or 0.0, run.name))
