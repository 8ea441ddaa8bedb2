"""The mark of a recipe's run: recipe.json `{kind, arguments, job, part, result}` in its folder. No torch import."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from terrarium.models.files.atomic import atomic_write_json, read_json
from terrarium.models.library.run_record import MARK_FILE as MARK_FILE
from terrarium.models.library.run_record import QUICK_START as QUICK_START
from terrarium.models.library.run_record import TASK as TASK

DEMONSTRATION, PRONOUNS = "demonstration", "pronouns"
"""Kinds of recipes, besides QUICK_START and TASK; models.recipes.recipes maps each to its class."""
_OF_STAGE = "demonstration.json"
"""The mark of a demonstration's stage before version 0.3."""


@dataclass(frozen=True, kw_only=True)
class RunMark:
    """The recipe that a run belongs to.

    kind: a key of models.recipes.recipes.RECIPES. arguments: all that is needed to make it again, with `name` if a
    kind has several recipes. result: None until it has finished. job: identifies the job that began the run, which
    all runs that it trains share; "" for a copy, and before version 0.3. part: which of them this run is, "" for the
    main one.
    """

    kind: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    job: str = ""
    part: str = ""
    result: Mapping[str, Any] | None = None

    @property
    def name(self) -> str:
        """The recipe among those of its kind, "" if there is only one."""
        return str(self.arguments.get("name", ""))


def absolute_path(text: str) -> str:
    """Return the absolute path of a file, or of a folder that is named by a path, for arguments that may be read in
    another working directory; the name of something in the library is unchanged.
    """
    path = Path(text).expanduser()
    is_path = path.is_file() or (path.is_dir() and (path.name != text or (path / "config.json").is_file()))
    return str(path.absolute()) if text and is_path else text


def write_run_mark(run: Path, mark: RunMark) -> None:
    """Write the mark into the folder of a run, replacing an earlier one; FileNotFoundError if the run was deleted."""
    atomic_write_json(run / MARK_FILE, asdict(mark), creates_folder=False)


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
    return RunMark(
        kind=str(about["kind"]),
        arguments=about["arguments"],
        job=str(about.get("job", "")),
        part=str(about.get("part", "")),
        result=about["result"],
    )


def find_run_mark(run: Path) -> RunMark | None:
    """Read the mark like `read_run_mark`, but return None for a damaged file, too."""
    with contextlib.suppress(ValueError, OSError):
        return read_run_mark(run)
    return None


def add_result(run: Path, result: Mapping[str, Any]) -> None:
    """Add the result of the recipe to the mark of a run, which must exist; it replaces an earlier one."""
    mark = read_run_mark(run)
    assert mark is not None
    write_run_mark(run, replace(mark, result=result))


def _read_stage_mark(run: Path) -> RunMark | None:
    """Read the mark of a demonstration's stage in its earlier format."""
    if not (run / _OF_STAGE).is_file():
        return None
    about = read_json(run / _OF_STAGE)
    ended: dict[str, Any] = {name: about.pop(name) for name in ("result", "seconds", "created") if name in about}
    return RunMark(kind=DEMONSTRATION, arguments=about, result=ended or None)
