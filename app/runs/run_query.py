"""Searching and sorting runs. No Qt."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from terrarium.models.library.library import RunInfo
from terrarium.models.metrics.metrics_table import METRICS, best_first

SORTS = {
    "newest": "Newest first",
    "name": "Name",
    "best": "Best loss",
    "metric": "Best metric",
    "duration": "Longest",
    "size": "Largest on disk",
    "status": "Status",
}
"""Sort orders and their labels."""

_LAST = chr(0x10FFFF)
"""A character that sorts after every title."""
_FIRST = (
    "running",
    "preparing",
    "blocked",
    "paused",
    "interrupted",
    "failed",
    "damaged",
    "queued",
    "stopped",
    "finished",
)


def matches(info: RunInfo, status: str, query: str) -> bool:
    """Return whether a run matches: every word of `query` is in its name, notes, tags or status.

    “tag:” and “status:” before a word restrict the search to the beginnings of these; “-” excludes the word.
    """
    return all(_has(info, status, word) for word in query.casefold().split())


def _has(info: RunInfo, status: str, word: str) -> bool:
    if word.startswith("-") and len(word) > 1:
        return not _has(info, status, word[1:])
    where, colon, what = word.partition(":")
    if colon and where == "tag":
        return any(tag.casefold().startswith(what) for tag in info.tags)
    if colon and where == "status":
        return status.startswith(what)
    return any(word in text.casefold() for text in (info.name, info.notes, status, *info.tags))


def sort_runs(runs: Sequence[RunInfo], order: str, status_of: Callable[[RunInfo], str]) -> list[RunInfo]:
    """Sort runs by one of SORTS: ties with the newest first, runs without a value last."""
    keys: dict[str, Callable[[RunInfo], Any]] = {
        "newest": lambda run: 0,
        "name": lambda run: run.name.casefold(),
        "best": lambda run: math.inf if run.best_loss is None else run.best_loss,
        "metric": _metric_key,
        "duration": lambda run: math.inf if run.elapsed_s is None else -run.elapsed_s,
        "size": lambda run: math.inf if run.size_bytes is None else -run.size_bytes,
        "status": lambda run: _rank(status_of(run)),
    }
    newest = sorted(runs, key=lambda run: (run.created, run.id), reverse=True)
    return sorted(newest, key=keys[order])


def _metric_key(run: RunInfo) -> tuple[str, float]:
    """Return a sort key that groups runs by metric, the best of each metric first."""
    if run.best_metric is None:
        return _LAST, 0.0
    name, value = run.best_metric
    return METRICS[name].title, best_first(name, value)


def _rank(status: str) -> tuple[int, str]:
    return (_FIRST.index(status) if status in _FIRST else len(_FIRST), status)
