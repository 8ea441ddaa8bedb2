"""The user's corrections of labels predicted by a run's model: corrections.jsonl, in the run's folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from terrarium.models.files.atomic import atomic_write_bytes
from terrarium.models.files.jsonl import read_rows

FILE = "corrections.jsonl"

Row = Mapping[str, Any]
"""{"text": …, "label": …}, and "text_pair" if the model reads pairs of texts: a row of the task "classification"."""


def read_corrections(folder: Path) -> list[dict[str, Any]]:
    """Return the corrections of the run in `folder`, the oldest first; ValueError if the file cannot be read."""
    return read_rows(folder / FILE, {"text": str, "label": str})


def corrections_name(run_name: str) -> str:
    """Return the beginning of the names of datasets made from a run's corrections."""
    return f"Corrections of {run_name}"


def find_correction(corrections: list[dict[str, Any]], row: Row) -> str | None:
    """Return the user's label for the text of a row, or None."""
    return next((each["label"] for each in corrections if _text_of(each) == _text_of(row)), None)


def set_correction(folder: Path, row: Row, label: str | None) -> None:
    """Save `label` as the right one for the text of a row, replacing an earlier correction; None removes it.

    Raises:
        ValueError: if the folder is missing, or the file cannot be read; the file is then unchanged.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} is missing: the run may have been moved or deleted.")
    rows = [each for each in read_corrections(folder) if _text_of(each) != _text_of(row)]
    if label is not None:
        rows.append({**{name: row[name] for name in ("text", "text_pair") if row.get(name)}, "label": label})
    data = "".join(f"{json.dumps(each)}\n" for each in rows)
    atomic_write_bytes(folder / FILE, data.encode(), private=True)


def _text_of(row: Row) -> tuple[str, str]:
    return row["text"], row.get("text_pair") or ""
