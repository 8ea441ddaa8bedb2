"""Reads and writes demonstration.json in a run's folder: the demonstration that it is a stage of, and the result."""

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
"""Demonstrations that have their own result class."""


@dataclass(frozen=True, kw_only=True)
class DemonstrationMark:
    """The demonstration that a run is a stage of, and its arguments. own: a set of judged pairs, or "". rules: of a
    constitution, () for the default.
    """

    name: str
    base: str
    seed: int
    n_each: int
    own: str = ""
    rules: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Demonstrated:
    """A finished demonstration. run: the folder of its last stage. seconds: its total duration, None if it reused
    existing stages. created: when it ended, ISO 8601.
    """

    mark: DemonstrationMark
    run: Path
    result: AnyResult
    seconds: float | None
    created: str


def mark_stage(run: Path, mark: DemonstrationMark) -> None:
    """Mark a run as a stage of a demonstration; an earlier result is retained."""
    try:
        is_kept = read_demonstrated(run) is not None
    except ValueError:
        is_kept = False
    if not is_kept:
        atomic_write_json(run / _FILE, dataclasses.asdict(mark))


def read_stage_mark(run: Path) -> DemonstrationMark | None:
    """Read the mark of the run in this folder; None if it has none, or the file is damaged."""
    try:
        return mark_of(read_json(run / _FILE))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_demonstrated(mark: DemonstrationMark, run: Path, result: AnyResult, seconds: float | None) -> None:
    """Save a result beside the run of its last stage, replacing an earlier one."""
    found = {"result": result.to_dict(), "seconds": seconds, "created": datetime.now(UTC).isoformat(timespec="seconds")}
    atomic_write_json(run / _FILE, dataclasses.asdict(mark) | found)


def read_demonstrated(run: Path) -> Demonstrated | None:
    """Read a finished demonstration from the folder of its last stage; None for any other run.

    Raises:
        ValueError: if the file is damaged; the message names it.
    """
    if not (run / _FILE).is_file():
        return None
    about = read_json(run / _FILE)
    if about.get("result") is None:
        return None
    try:
        mark, data, seconds = mark_of(about), about["result"], about["seconds"]
        result = _RESULTS.get(mark.name, DemonstrationResult).from_dict(data)
        _ = [bar.is_met for bar in result.bars]  # raises if a measurement for it is missing
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
    """Parse a mark from JSON; KeyError, TypeError or ValueError if something is missing or wrong."""
    return DemonstrationMark(
        name=str(about["name"]),
        base=str(about["base"]),
        seed=int(about["seed"]),
        n_each=int(about["n_each"]),
        own=str(about["own"]),
        rules=tuple(map(str, about.get("rules", ()))),
    )
