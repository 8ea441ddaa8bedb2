"""The mark of a recipe's run: recipe.json `{kind, arguments, result}` in its folder. No torch import."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from terrarium.models.files.atomic import atomic_write_json, read_json
from terrarium.models.library.run_record import MARK_FILE as MARK_FILE
from terrarium.models.library.run_record import QUICK_START as QUICK_START

TASK, DEMONSTRATION = "task", "demonstration"
"""Kinds of recipes, besides QUICK_START; models.recipes.resuming maps each to its class."""
_OF_STAGE = "demonstration.json"


@dataclass(frozen=True, kw_only=True)
class RunMark:
    """The recipe that a run belongs to.

    kind: QUICK_START, TASK or DEMONSTRATION. arguments: all that is needed to resume it, with `name` if a kind has
    several recipes. result: None until it has finished.
    """

    kind: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    result: Mapping[str, Any] | None = None

    @property
    def name(self) -> str:
        """The recipe among those of its kind, "" if there is only one."""
        return str(self.arguments.get("name", ""))


def write_run_mark(run: Path, mark: RunMark) -> None:
    """Write the mark into the folder of a run, replacing an earlier one."""
    arguments, result = dict(mark.arguments), None if mark.result is None else dict(mark.result)
    atomic_write_json(run / MARK_FILE, {"kind": mark.kind, "arguments": arguments, "result": result})


def read_run_mark(run: Path) -> RunMark | None:
    """Read the mark of the run in this folder; None if it belongs to no recipe.

    Raises:
        ValueError: if the file is damaged; the message names it.
    """
    if not (run / MARK_FILE).is_file():
        return _read_stage_mark(run)
    about = read_json(run / MARK_FILE)
    if "kind" not in about:  # the format of tasks before version 0.2
        arguments = {name: value for name, value in about.items() if name != "result"}
        about = {"kind": TASK, "arguments": arguments, "result": about.get("result")}
    if not isinstance(about.get("arguments"), dict) or not isinstance(about.get("result"), dict | None):
        raise ValueError(f"{run / MARK_FILE} is damaged: start the recipe again.")
    return RunMark(kind=str(about["kind"]), arguments=about["arguments"], result=about["result"])


def find_run_mark(run: Path) -> RunMark | None:
    """Read the mark like `read_run_mark`, but return None for a damaged file, too."""
    with contextlib.suppress(ValueError):
        return read_run_mark(run)
    return None


def add_result(run: Path, result: Mapping[str, Any]) -> None:
    """Add the result of the recipe to the mark of a run, which must exist."""
    mark = read_run_mark(run)
    assert mark is not None
    write_run_mark(run, replace(mark, result=result))


def _read_stage_mark(run: Path) -> RunMark | None:
    """Read the mark of a demonstration's stage, which models.recipes.demonstrations.demonstrated writes."""
    if not (run / _OF_STAGE).is_file():
        return None
    about = read_json(run / _OF_STAGE)
    ended: dict[str, Any] = {name: about.pop(name) for name in ("result", "seconds", "created") if name in about}
    return RunMark(kind=DEMONSTRATION, arguments=about, result=ended or None)
