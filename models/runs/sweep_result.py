"""The results of a sweep: its runs, selected by their tag, with the settings that vary. No torch import."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from terrarium.models.library.library import Library
from terrarium.models.library.run_index import RunIndex
from terrarium.models.library.run_notes import clean_tags
from terrarium.models.library.run_record import RunInfo
from terrarium.models.metrics.metrics_table import best_first, format_score
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.runs.run_queue import RunQueue
from terrarium.models.settings.spec_changes import differing_settings

PREFIX = "sweep-"


@dataclass(frozen=True, kw_only=True)
class SweepRun:
    """A run of a sweep; `values`: those of the settings that vary, such as "train.lr" -> 0.003.

    `best_loss`: the lowest validation loss, None before the first validation. `metric`: the metric of the task by
    which the runs are ranked, "" if they are ranked by loss. `best_metric`: its best value on validation.
    """

    id: str
    name: str
    status: str
    best_loss: float | None
    values: dict[str, Any]
    metric: str = ""
    best_metric: float | None = None

    @property
    def best(self) -> float | None:
        """The value that the run is ranked by."""
        return self.best_metric if self.metric else self.best_loss

    @property
    def best_text(self) -> str:
        """The same value, formatted."""
        if self.best is None:
            return "–"
        return format_score(self.metric, self.best) if self.metric else f"{self.best:.4f}"


def sweep_tag(library: Library, name: str) -> str:
    """Return a tag for a new sweep that neither a run nor an item of the queue has."""
    taken = {tag for info in library.list_runs() for tag in info.tags}
    with suppress(ValueError):  # a damaged queue is reported when something is added to it
        taken |= {tag for item in RunQueue(library).items() for tag in item.tags}
    (begin,) = clean_tags([f"{PREFIX}{name}"])
    tags = (begin if n == 1 else f"{begin}-{n}" for n in itertools.count(1))
    return next(tag for tag in tags if tag not in taken)


def sweep_infos(library: Library, tag: str) -> list[RunInfo]:
    """Return the runs with a tag, with their lowest losses and best metrics."""
    index = RunIndex(library.runs)
    index.refresh()
    for _ in index.measure():
        pass
    return [info for info in index.infos() if tag in info.tags]


def compare_runs(infos: Sequence[RunInfo]) -> list[SweepRun]:
    """Return runs with the settings that vary among them, the best first; damaged runs are left out.

    They are ranked by the metric of their task if all validated runs have the same one, otherwise by loss.
    """
    whole = [info for info in infos if info.problem is None]
    if not whole:
        return []
    names = differing_settings([RunFolder.open(info.folder).spec for info in whole])
    metrics = {info.best_metric[0] if info.best_metric else "" for info in whole if info.best_loss is not None}
    metric = metrics.pop() if len(metrics) == 1 else ""
    runs = [
        SweepRun(
            id=info.id,
            name=info.name,
            status=info.status,
            best_loss=info.best_loss,
            values={name: values[i] for name, values in names.items()},
            metric=metric,
            best_metric=info.best_metric[1] if metric and info.best_metric else None,
        )
        for i, info in enumerate(whole)
    ]
    return sorted(runs, key=lambda run: (run.best is None, _rank(run), run.name))


def _rank(run: SweepRun) -> float:
    best = run.best or 0.0
    return best_first(run.metric, best) if run.metric else best
