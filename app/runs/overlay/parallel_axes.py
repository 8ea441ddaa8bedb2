"""The axes of parallel coordinates: each setting that varies among runs, and their best metric or loss. No Qt."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from terrarium.app.kit.setting_names.slot_words import format_setting, label_of
from terrarium.models.metrics.metrics_table import METRICS, format_score
from terrarium.models.runs.sweep import SweepRun
from terrarium.models.settings.block_references import BLOCK_SLOTS
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import DataSpec, TokenizerSpec, TrainConfig
from terrarium.models.settings.tune_spec import TuneSpec

_TABLES: dict[str, Any] = {
    "train": TrainConfig,
    "model": ModelConfig,
    "data": DataSpec,
    "tokenizer": TokenizerSpec,
    "tune": TuneSpec,
}
BEST = "best"
"""The name of the last axis."""
_MAX_TICKS = 6
_LOG_FROM = 8
"""An axis of positive numbers is logarithmic if the ratio of its ends is at least this."""


@dataclass(frozen=True, kw_only=True)
class ParallelAxis:
    """One axis from 0 (bottom) to 1 (top). `positions` has one entry per run, None if it has no value.

    `ticks` are (position, label).
    """

    name: str
    title: str
    positions: tuple[float | None, ...]
    ticks: tuple[tuple[float, str], ...]


def setting_title(name: str) -> str:
    """Return the label of a setting: “Learning rate” for "train.lr", “Decay” for the option "attention.decay"."""
    table, _, setting = name.partition(".")
    if table in BLOCK_SLOTS:
        return setting.replace("_", " ").capitalize()
    for field in dataclasses.fields(_TABLES[table]):
        if field.name == setting:
            return label_of(field)
    return setting


def parallel_axes(runs: Sequence[SweepRun]) -> list[ParallelAxis]:
    """Return an axis for each setting that varies among the runs, then that of the best metric or lowest loss."""
    names = list(runs[0].values) if runs else []
    axes = [_setting_axis(name, [run.values[name] for run in runs]) for name in names]
    metric = runs[0].metric if runs else ""
    best = _number_axis(BEST, best_title(runs), [run.best for run in runs], ticks=None, metric=metric)
    return [*axes, best]


def best_title(runs: Sequence[SweepRun]) -> str:
    """Return the label of what the runs are ranked by, such as “Best accuracy”."""
    metric = runs[0].metric if runs else ""
    return f"Best {METRICS[metric].title}" if metric else "Lowest loss"


def _setting_axis(name: str, values: Sequence[Any]) -> ParallelAxis:
    title = setting_title(name)
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        distinct = sorted(set(values))
        return _number_axis(name, title, values, ticks=distinct if len(distinct) <= _MAX_TICKS else None)
    kinds = sorted({format_setting(value) for value in values})
    position = {kind: (i + 0.5) / len(kinds) for i, kind in enumerate(kinds)}
    positions = tuple(position[format_setting(value)] for value in values)
    return ParallelAxis(
        name=name, title=title, positions=positions, ticks=tuple((position[kind], kind) for kind in kinds)
    )


def _number_axis(
    name: str, title: str, values: Sequence[float | None], ticks: Sequence[float] | None, metric: str = ""
) -> ParallelAxis:
    known = [value for value in values if value is not None and math.isfinite(value)]
    if not known:
        return ParallelAxis(name=name, title=title, positions=(None,) * len(values), ticks=())
    low, high = min(known), max(known)
    is_log = low > 0 and high >= _LOG_FROM * low and not metric

    def position(value: float) -> float:
        if low == high:
            return 0.5
        if is_log:
            return math.log(value / low) / math.log(high / low)
        return (value - low) / (high - low)

    if ticks is None:
        middle = math.sqrt(low * high) if is_log else (low + high) / 2
        ticks = [low] if low == high else [low, middle, high]
    whole = all(isinstance(value, int) for value in known)
    if metric:
        words = [format_score(metric, value) for value in ticks]
    else:
        words = [format_setting(round(value)) if whole else f"{value:.3g}" for value in ticks]
    return ParallelAxis(
        name=name,
        title=title,
        positions=tuple(position(value) if value is not None and math.isfinite(value) else None for value in values),
        ticks=tuple((position(value), text) for value, text in zip(ticks, words, strict=True)),
    )
