"""A file that `terrarium bench --out FILE` has written: kept up to date, and as a table in Markdown."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from terrarium.models.files.atomic import atomic_write_json
from terrarium.models.number_words import format_percent
from tools.bench.result import Result

_HEAD = ("`terrarium bench`", "Terrarium", "reference", "times as good", "in the rounds", "wanted")
_MARK = " \\*"


def check_machine(path: Path, machine: Mapping[str, Any]) -> None:
    """Raise ValueError if the file holds measurements of another computer, or something else."""
    if not path.exists():
        return
    known = read_results(path)["machine"]
    if differs := [name for name, value in machine.items() if name != "date" and known.get(name) != value]:
        raise ValueError(
            f"{path} holds measurements of another computer or version ({', '.join(differs)} differ): name another "
            "file, or delete it."
        )


def write_results(path: Path, machine: Mapping[str, Any], results: Sequence[Result]) -> None:
    """Put results into the file, replacing older results of the same name; ValueError as in `check_machine`."""
    check_machine(path, machine)
    rows = {row["name"]: row for row in read_results(path)["results"]} if path.exists() else {}
    rows |= {result.name: {**result.to_dict(), "date": machine["date"]} for result in results}
    atomic_write_json(path, {"machine": machine, "results": list(rows.values())})


def read_results(path: Path) -> dict[str, Any]:
    """The contents of a file of `write_results`; ValueError if the file is not one."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        assert all(isinstance(row["name"], str) for row in document["results"])
        assert isinstance(document["machine"], dict)
    except (OSError, ValueError, TypeError, KeyError, AssertionError) as error:
        raise ValueError(
            f"{path} holds no measurements: name a file that terrarium bench --out has written."
        ) from error
    return document  # type: ignore[no-any-return]


def markdown(document: Mapping[str, Any], too_busy: float) -> str:
    """The results as a table in Markdown; those during which other programs used `too_busy` of the computer or more are
    marked. Ends with a line break."""
    lines = [_line(_HEAD), _line("---" for _ in _HEAD)]
    for row in document["results"]:
        mark = _MARK if (row["others"] or 0) >= too_busy else ""
        lines.append(_line((row["name"] + mark, *_cells(row))))
    machine = document["machine"]
    note = f"{_MARK.strip()} Other programs used {format_percent(too_busy)} of the computer or more meanwhile. "
    where = f"{machine['cores']} cores ({machine['processor']}), {machine['system']}"
    about = f"Measured on {where}, with torch {machine['torch']}.\n"
    return "".join(lines) + "\n" + (note if any(_MARK in line for line in lines) else "") + about


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


def _cells(row: Mapping[str, Any]) -> list[str]:
    if row["skipped"]:
        return [row["skipped"], "", "", "", ""]
    ours = "not reached" if row["ours"] is None else f"{_number(row['ours'])} {row['unit']}"
    reference = "" if row["reference"] is None else _number(row["reference"])
    ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f}"
    spread = "" if row["spread"] is None else "{:.2f} to {:.2f}".format(*row["spread"])
    wanted = ""
    if row["target"] is not None:
        least = "" if row["reference"] is not None else "at most "
        wanted = f"{least}{row['target']:g}: {'reached' if row['met'] else 'missed'}"
    return [ours, reference, ratio, spread, wanted]


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
