"""The user's notes and tags of a run: notes.json, separate from the training files, so that writing needs no lock."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from terrarium.models.files.atomic import DamagedError, atomic_write_json, read_json

FILE = "notes.json"


@dataclass(frozen=True, kw_only=True)
class RunNotes:
    """Notes, and tags to search for. `problem`: a sentence if the file is damaged."""

    notes: str = ""
    tags: tuple[str, ...] = ()
    problem: str | None = None


def read_notes(folder: Path) -> RunNotes:
    """Return the notes of the run in `folder`; a damaged file results in a `problem`, and is not changed."""
    path = folder / FILE
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
    atomic_write_json(folder / FILE, {"notes": notes, "tags": list(clean_tags(tags))})


def clean_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """Replace spaces in tags by hyphens, since a space separates the words of a search, and remove duplicates."""
    return tuple(dict.fromkeys("-".join(tag.split()) for tag in tags if tag.strip()))
