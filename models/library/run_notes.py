"""What the user writes beside a run: notes and tags (notes.json), corrected labels (corrections.jsonl).

The files are separate from those of the training, so that writing needs no lock.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from terrarium.models.files.atomic import DamagedError, atomic_write_bytes, atomic_write_json, read_json
from terrarium.models.files.jsonl import read_rows

NOTES_FILE = "notes.json"
CORRECTIONS_FILE = "corrections.jsonl"
Row = Mapping[str, Any]
"""{"text": …, "label": …}, and "text_pair" if the model reads pairs of texts: a row of the task "classification"."""


@dataclass(frozen=True, kw_only=True)
class RunNotes:
    """Notes, and tags to search for. `problem`: a sentence if the file is damaged."""

    notes: str = ""
    tags: tuple[str, ...] = ()
    problem: str | None = None


def read_notes(folder: Path) -> RunNotes:
    """Return the notes of the run in `folder`; a damaged file results in a `problem`, and is not changed."""
    path = folder / NOTES_FILE
    if not path.exists():
        return RunNotes()
    try:
        record = read_json(path)
        notes, tags = record.get("notes", ""), record.get("tags", [])
        if not isinstance(notes, str):
            raise DamagedError(f"{path} is damaged: its notes are {notes!r}.")
        if not (isinstance(tags, list) and all(isinstance(tag, str) for tag in tags)):
            raise DamagedError(f"{path} is damaged: its tags are {tags!r}.")
    except ValueError as error:
        return RunNotes(problem=f"{error} Repair or delete it: it holds only notes and tags.")
    return RunNotes(notes=notes, tags=clean_tags(tags))


def write_notes(folder: Path, notes: str, tags: Iterable[str]) -> None:
    """Save notes and tags of the run in `folder`.

    Raises:
        ValueError: if the existing file is damaged (it is not changed), or the folder is missing.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} is missing: the run may have been moved or deleted.")
    problem = read_notes(folder).problem
    if problem is not None:
        raise ValueError(problem)
    atomic_write_json(folder / NOTES_FILE, {"notes": notes, "tags": list(clean_tags(tags))})


def clean_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """Replace spaces in tags by hyphens, since a space separates the words of a search, and remove duplicates."""
    return tuple(dict.fromkeys("-".join(tag.split()) for tag in tags if tag.strip()))


def read_corrections(folder: Path) -> list[dict[str, Any]]:
    """Return the corrections of the run in `folder`, the oldest first; ValueError if the file cannot be read."""
    return read_rows(folder / CORRECTIONS_FILE, {"text": str, "label": str})


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
    atomic_write_bytes(folder / CORRECTIONS_FILE, data.encode(), private=True)


def _text_of(row: Row) -> tuple[str, str]:
    return row["text"], row.get("text_pair") or ""
