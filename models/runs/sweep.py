"""Sweeps: the same run again and again with other values for a few settings. No torch import."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from models.settings.run_spec import RunSpec
from models.settings.spec_changes import changed_spec, full_name, kind_of, parse_change

MOST_RUNS = 1000
_DIGITS = 3


@dataclass(frozen=True)
class Choices:
    """One setting of a grid, and the values that it takes."""

    name: str
    values: tuple[Any, ...]


@dataclass(frozen=True)
class Range:
    """One setting of a random search: drawn evenly between two numbers, or evenly in their logarithms."""

    name: str
    low: float
    high: float
    is_log: bool
    is_whole: bool


def grid(base: RunSpec, axes: Sequence[Choices]) -> list[RunSpec]:
    """A spec for every combination of the values, the last setting varying fastest.

    Raises:
        ValueError: where a value is not possible, or there would be too many runs.
    """
    _check(axes)
    n = math.prod(len(axis.values) for axis in axes)
    if n > MOST_RUNS:
        raise ValueError(f"The grid has {n:,} combinations, more than {MOST_RUNS:,}: take fewer values.")
    names = [axis.name for axis in axes]
    return [
        _variant(base, dict(zip(names, values, strict=True))) for values in itertools.product(*(a.values for a in axes))
    ]


def random_search(base: RunSpec, axes: Sequence[Choices | Range], n: int, seed: int = 0) -> list[RunSpec]:
    """`n` specs with values drawn at random, the same for the same seed (Bergstra and Bengio 2012, “Random Search”).

    Raises:
        ValueError: where a value is not possible, or `n` is.
    """
    _check(axes)
    if not 1 <= n <= MOST_RUNS:
        raise ValueError(f"A search makes between 1 and {MOST_RUNS:,} runs, not {n:,}.")
    rng = random.Random(seed)
    return [_variant(base, {axis.name: _draw(axis, rng) for axis in axes}) for _ in range(n)]


def parse_choices(text: str) -> Choices:
    """ "train.lr=1e-3,3e-3" as Choices.

    Raises:
        ValueError: where that cannot be read.
    """
    name, equals, values = text.partition("=")
    items = [item for item in (part.strip() for part in values.split(",")) if item]
    if not equals:
        raise ValueError(f"{text!r} names no values: write it as train.lr=0.001,0.003.")
    if not items:
        raise ValueError(f"{full_name(name.strip())} has no values: write some, with commas in between.")
    parsed = [parse_change(f"{name}={item}")[1] for item in items]
    return Choices(full_name(name.strip()), tuple(parsed))


def parse_range(base: RunSpec, text: str) -> Range:
    """ "train.lr=1e-4..1e-2" as a Range: even in the logarithm where both ends are positive and ten or more apart.

    Raises:
        ValueError: where that cannot be read, or the setting is no number.
    """
    name, _, ends = text.partition("=")
    name = full_name(name.strip())
    low, dots, high = ends.partition("..")
    try:
        numbers = float(low), float(high)
    except ValueError:
        numbers = math.nan, math.nan
    if not dots or not numbers[0] < numbers[1] or not all(map(math.isfinite, numbers)):
        raise ValueError(f"{ends.strip()!r} is no range of {name}: write one as 0.0001..0.01, the lower end first.")
    kind = kind_of(base, name)
    if kind not in (int, float):
        raise ValueError(f"{name} is no number, so it has no range: give its values instead.")
    if kind is int and math.ceil(numbers[0]) > math.floor(numbers[1]):
        raise ValueError(f"{text!r} has no whole number in it, but {name} must be one: choose a wider range.")
    is_log = numbers[0] > 0 and numbers[1] >= 10 * numbers[0]
    return Range(name, *numbers, is_log=is_log, is_whole=kind is int)


def _draw(axis: Choices | Range, rng: random.Random) -> Any:
    if isinstance(axis, Choices):
        return rng.choice(axis.values)
    if axis.is_log:
        value = math.exp(rng.uniform(math.log(axis.low), math.log(axis.high)))
    else:
        value = rng.uniform(axis.low, axis.high)
    if axis.is_whole:
        return min(max(round(value), math.ceil(axis.low)), math.floor(axis.high))
    return min(max(float(f"{value:.{_DIGITS}g}"), axis.low), axis.high)  # a value that can be read and typed again


def _variant(base: RunSpec, changes: dict[str, Any]) -> RunSpec:
    words = " ".join(f"{name.partition('.')[2]}={_words(value)}" for name, value in changes.items())
    return changed_spec(RunSpec(**{**vars(base), "name": f"{base.name} {words}"}), changes)


def _words(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _check(axes: Sequence[Choices | Range]) -> None:
    names = [axis.name for axis in axes]
    if not names:
        raise ValueError("Nothing varies in this sweep: choose at least one setting.")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise ValueError(f"{twice} varies twice in this sweep: name it once.")
    for axis in axes:
        if isinstance(axis, Choices) and any(axis.values.count(value) > 1 for value in axis.values):
            raise ValueError(f"A value of {axis.name} is there twice in this sweep: name it once.")
