"""Reads and writes demonstration.json in a run's folder: which demonstration it is a stage of, and the result."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from terrarium.models.files.atomic import atomic_write_json, read_json
from terrarium.models.recipes.demonstrations.results import (
    CONSTITUTION,
    FORMAT,
    REFUSE,
    AnyResult,
    ConstitutionResult,
    DemonstrationResult,
    FormatResult,
    RefuseResult,
)

_FILE = "demonstration.json"
_RESULTS: Mapping[str, type[RefuseResult | ConstitutionResult | FormatResult]] = {
    REFUSE: RefuseResult,
    CONSTITUTION: ConstitutionResult,
    FORMAT: FormatResult,
}
"""Of demonstrations with a result of their own."""


@dataclass(frozen=True, kw_only=True)
class DemonstrationMark:
    """Which demonstration a run is a stage of, with what that was started with. own: a set of judged pairs, or "".
    rules: of a constitution, () for the usual ones."""

    name: str
    base: str
    seed: int
    n_each: int
    own: str = ""
    rules: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Demonstrated:
    """A demonstration that has come to its end. run: the folder of its last stage. seconds: of the whole, None where it
    went on with what was there already. created: when it ended, ISO 8601."""

    mark: DemonstrationMark
    run: Path
    result: AnyResult
    seconds: float | None
    created: str


def mark_stage(run: Path, mark: DemonstrationMark) -> None:
    """Write into the folder of a run that it is a stage of a demonstration; an earlier result is kept."""
    try:
        is_kept = read_demonstrated(run) is not None
    except ValueError:
        is_kept = False
    if not is_kept:
        atomic_write_json(run / _FILE, dataclasses.asdict(mark))


def read_stage_mark(run: Path) -> DemonstrationMark | None:
    """The demonstration that the run in this folder is a stage of; None where it is of none, or that is damaged."""
    try:
        return mark_of(read_json(run / _FILE))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_demonstrated(mark: DemonstrationMark, run: Path, result: AnyResult, seconds: float | None) -> None:
    """Keep a result beside the run of its last stage, in place of an earlier one."""
    found = {"result": result.to_dict(), "seconds": seconds, "created": datetime.now(UTC).isoformat(timespec="seconds")}
    atomic_write_json(run / _FILE, dataclasses.asdict(mark) | found)


def read_demonstrated(run: Path) -> Demonstrated | None:
    """What is kept in the folder of a run; None where that is no last stage of a demonstration that has ended.

    Raises:
        ValueError: where it is damaged, naming the file.
    """
    if not (run / _FILE).is_file():
        return None
    about = read_json(run / _FILE)
    if about.get("result") is None:
        return None
    try:
        mark, data, seconds = mark_of(about), about["result"], about["seconds"]
        result = _RESULTS.get(mark.name, DemonstrationResult).from_dict(data)
        _ = [bar.is_met for bar in result.bars]  # each has what it is about
        return Demonstrated(
            mark=mark,
            run=run,
            result=result,
            seconds=None if seconds is None else float(seconds),
            created=str(about["created"]),
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{run / _FILE} is damaged ({error!r}): start the demonstration again.") from error


def mark_of(about: Mapping[str, Any]) -> DemonstrationMark:
    """From JSON; KeyError, TypeError or ValueError where something is missing or wrong."""
    return DemonstrationMark(
        name=str(about["name"]),
        base=str(about["base"]),
        seed=int(about["seed"]),
        n_each=int(about["n_each"]),
        own=str(about["own"]),
        rules=tuple(map(str, about.get("rules", ()))),
    )
