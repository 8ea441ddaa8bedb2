"""Hyperparameter sweeps: grid and random search over a few settings of a run, and the results. No torch import.

A setting is named as in models.settings.spec_changes, and may be an option of a custom block: "attention.decay".
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from terrarium.models.custom_blocks.manifest import BlockOption
from terrarium.models.custom_blocks.store import find_in
from terrarium.models.library.library import Library
from terrarium.models.library.run_index import RunIndex
from terrarium.models.library.run_notes import clean_tags
from terrarium.models.library.run_record import RunInfo
from terrarium.models.metrics.metrics_table import best_first, format_score
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.runs.run_queue import RunQueue
from terrarium.models.settings.block_references import BLOCK_SLOTS, HasBlocks, blocks_of, options_in
from terrarium.models.settings.run_spec import RunSpec
from terrarium.models.settings.spec_changes import changed_spec, differing_settings, full_name, kind_of, parse_change

MAX_RUNS = 1000
_DIGITS = 3
_OF_DESIGN = ("model", "tokenizer", *BLOCK_SLOTS)
_PREFIX = "sweep-"


@dataclass(frozen=True)
class SweepValues:
    """A setting of a sweep, and its values."""

    name: str
    values: tuple[Any, ...]


@dataclass(frozen=True)
class SweepRange:
    """A setting of a random search, drawn uniformly or log-uniformly between two numbers."""

    name: str
    low: float
    high: float
    is_log: bool
    is_whole: bool


def grid(base: RunSpec, axes: Sequence[SweepValues]) -> list[RunSpec]:
    """Return a spec for every combination of the values, the last setting varying fastest.

    Raises:
        ValueError: if a value is invalid, or there would be too many runs.
    """
    _check(base, axes)
    n = math.prod(len(axis.values) for axis in axes)
    if n > MAX_RUNS:
        raise ValueError(f"The grid has {n:,} combinations, more than {MAX_RUNS:,}: use fewer values.")
    names = [axis.name for axis in axes]
    return [
        _variant(base, dict(zip(names, values, strict=True))) for values in itertools.product(*(a.values for a in axes))
    ]


def random_search(base: RunSpec, axes: Sequence[SweepValues | SweepRange], n: int, seed: int = 0) -> list[RunSpec]:
    """Return `n` specs with values drawn at random from `seed` (Bergstra and Bengio 2012, “Random Search”).

    Raises:
        ValueError: if a value or `n` is invalid.
    """
    _check(base, axes)
    if not 1 <= n <= MAX_RUNS:
        raise ValueError(f"A search needs between 1 and {MAX_RUNS:,} runs, not {n:,}.")
    rng = random.Random(seed)
    return [_variant(base, {axis.name: _draw(axis, rng) for axis in axes}) for _ in range(n)]


def parse_values(text: str) -> SweepValues:
    """Parse "train.lr=1e-3,3e-3" as SweepValues.

    Raises:
        ValueError: if the text cannot be parsed.
    """
    name, equals, values = text.partition("=")
    items = [item for item in (part.strip() for part in values.split(",")) if item]
    if not equals:
        raise ValueError(f"{text!r} has no values: write it as train.lr=0.001,0.003.")
    if not items:
        raise ValueError(f"{full_name(name.strip())} has no values: give some, separated by commas.")
    parsed = [parse_change(f"{name}={item}")[1] for item in items]
    return SweepValues(full_name(name.strip()), tuple(parsed))


def parse_range(base: RunSpec, text: str) -> SweepRange:
    """Parse "train.lr=1e-4..1e-2" as a SweepRange: log-uniform from positive ends a factor of 10 or more apart.

    Raises:
        ValueError: if the text cannot be parsed, or the setting is not a number.
    """
    name, _, ends = text.partition("=")
    name = full_name(name.strip())
    low, dots, high = ends.partition("..")
    try:
        numbers = float(low), float(high)
    except ValueError:
        numbers = math.nan, math.nan
    if not dots or not numbers[0] < numbers[1] or not all(map(math.isfinite, numbers)):
        raise ValueError(f"{ends.strip()!r} is not a range of {name}: write it as 0.0001..0.01, the lower end first.")
    kind = _kind(base, name)
    if kind not in (int, float):
        raise ValueError(f"{name} is not a number, so it has no range: give values instead.")
    if kind is int and math.ceil(numbers[0]) > math.floor(numbers[1]):
        raise ValueError(f"{text!r} contains no whole number, but {name} must be one: choose a wider range.")
    is_log = numbers[0] > 0 and numbers[1] >= 10 * numbers[0]
    return SweepRange(name, *numbers, is_log=is_log, is_whole=kind is int)


def block_options(design: HasBlocks) -> dict[str, tuple[BlockOption, Any]]:
    """Return the options of a design's custom blocks, by name ("attention.decay"), with their values in it.

    Raises:
        ValueError: if a block's text is not in the library, or the design sets what it does not have.
    """
    found: dict[str, tuple[BlockOption, Any]] = {}
    for place in blocks_of(design):
        block = find_in(design, place)
        assert block is not None
        values = block.values(options_in(design, place))
        found |= {f"{place}.{name}": (option, values[name]) for name, option in block.options.items()}
    return found


def _kind(base: RunSpec, name: str) -> type:
    if name.partition(".")[0] not in BLOCK_SLOTS:
        return kind_of(base, name)
    options = block_options(base.model)
    if name not in options:
        raise ValueError(f"The custom blocks of this design have no option called {name!r}.")
    return type(options[name][0].default)


def _draw(axis: SweepValues | SweepRange, rng: random.Random) -> Any:
    if isinstance(axis, SweepValues):
        return rng.choice(axis.values)
    if axis.is_log:
        value = math.exp(rng.uniform(math.log(axis.low), math.log(axis.high)))
    else:
        value = rng.uniform(axis.low, axis.high)
    if axis.is_whole:
        return min(max(round(value), math.ceil(axis.low)), math.floor(axis.high))
    return min(max(float(f"{value:.{_DIGITS}g}"), axis.low), axis.high)  # a value that is easy to read and type


def _variant(base: RunSpec, changes: dict[str, Any]) -> RunSpec:
    label = " ".join(f"{name.partition('.')[2]}={_format_value(value)}" for name, value in changes.items())
    spec = changed_spec(RunSpec(**{**vars(base), "name": f"{base.name} {label}"}), changes)
    block_options(spec.model)  # raises for a value that a block does not have
    return spec


def _format_value(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _check(base: RunSpec, axes: Sequence[SweepValues | SweepRange]) -> None:
    names = [axis.name for axis in axes]
    if not names:
        raise ValueError("This sweep varies nothing: choose at least one setting.")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise ValueError(f"{twice} is varied twice in this sweep: name it once.")
    fixed = next((name for name in names if name.partition(".")[0] in _OF_DESIGN), None)
    if base.tune is not None and fixed:
        raise ValueError(
            f"{fixed} cannot vary: the design and the tokenizer of this run are those of the model that it starts from."
        )
    for axis in axes:
        if isinstance(axis, SweepValues) and any(axis.values.count(value) > 1 for value in axis.values):
            raise ValueError(f"A value of {axis.name} occurs twice in this sweep: name it once.")


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
    (begin,) = clean_tags([f"{_PREFIX}{name}"])
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
