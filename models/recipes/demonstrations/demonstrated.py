"""The demonstration that a run is a stage of, and its result, in the run's mark (models.recipes.mark)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

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
from terrarium.models.recipes.mark import DEMONSTRATION, RunMark, find_run_mark, read_run_mark, write_run_mark

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


def read_stage_mark(run: Path) -> DemonstrationMark | None:
    """Read the demonstration of the run in this folder; None if it has none, or its mark is damaged."""
    mark = find_run_mark(run)
    try:
        return mark_of(mark.arguments) if mark is not None and mark.kind == DEMONSTRATION else None
    except (ValueError, KeyError, TypeError):
        return None


def write_demonstrated(mark: DemonstrationMark, run: Path, result: AnyResult, seconds: float | None) -> None:
    """Mark the run of the last stage with a result, replacing an earlier one."""
    known, created = find_run_mark(run), datetime.now(UTC).isoformat(timespec="seconds")
    found = {"result": result.to_dict(), "seconds": seconds, "created": created}
    job = known.job if known is not None else ""
    arguments = dataclasses.asdict(mark) | {"rules": list(mark.rules)}
    write_run_mark(run, RunMark(kind=DEMONSTRATION, arguments=arguments, job=job, result=found))


def read_demonstrated(run: Path) -> Demonstrated | None:
    """Read a finished demonstration from the folder of its last stage; None for any other run.

    Raises:
        ValueError: if the mark is damaged; the message names the file.
    """
    found = read_run_mark(run)
    if found is None or found.kind != DEMONSTRATION or found.result is None:
        return None
    try:
        mark, about = mark_of(found.arguments), found.result
        result = _RESULTS.get(mark.name, DemonstrationResult).from_dict(about["result"])
        _ = [bar.is_met for bar in result.bars]  # raises if a measurement for it is missing
        seconds = about["seconds"]
        return Demonstrated(
            mark=mark,
            run=run,
            result=result,
            seconds=None if seconds is None else float(seconds),
            created=str(about["created"]),
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"The mark in {run} is damaged ({error!r}): start the demonstration again.") from error


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
