"""The notebook on disk: its text in segments, each either the user's text or one token of a model."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from terrarium.models.files.atomic import atomic_write_text, make_private, read_json
from terrarium.models.library.library import Library

FORMAT = 1


class WrittenToken(NamedTuple):
    """A token that a model wrote, as in `models.events.TokenMade`; rank 0 if its values are unknown."""

    id: int
    probability: float = 0.0
    entropy: float = 0.0
    rank: int = 0


class Segment(NamedTuple):
    """A segment of the text. `token`: the model's token; None for the user's text."""

    text: str
    token: WrittenToken | None = None


def open_notebook(library: Library) -> tuple[Path, list[Segment]]:
    """Return the notebook's path and contents. An unreadable file is left unchanged, and the next path is used."""
    for path in _paths(library):
        with contextlib.suppress(ValueError):
            return path, read_notebook(make_private(path))
    raise AssertionError("there is always another path")


def free_path(library: Library) -> Path:
    """Return the first path without a notebook."""
    return next(path for path in _paths(library) if not path.exists())


def _paths(library: Library) -> Iterator[Path]:
    yield library.home / "notebook.json"
    for number in itertools.count(2):
        yield library.home / f"notebook-{number}.json"


def read_notebook(path: Path) -> list[Segment]:
    """Read the notebook from a file; empty if the file is missing.

    Raises:
        ValueError: if it is damaged, or from a newer Terrarium.
    """
    if not path.exists():
        return []
    data = read_json(path)
    if data.get("format") != FORMAT:
        raise ValueError(f"{path} was written by a newer Terrarium: open it with that one.")
    try:
        return [_segment(item) for item in data["pieces"]]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged: {error!s:.80} is missing or wrong.") from error


def write_notebook(path: Path, segments: Sequence[Segment]) -> None:
    """Write the notebook; raise OSError if it cannot be written."""
    lines = ",\n".join(
        "  " + json.dumps([segment.text, *(segment.token or ())], ensure_ascii=False) for segment in segments
    )
    atomic_write_text(path, f'{{\n "format": {FORMAT},\n "pieces": [\n{lines}\n ]\n}}\n', private=True)


def _segment(item: Any) -> Segment:
    text, *token = item
    if not isinstance(text, str):
        raise TypeError(f"the text {text!r:.40}")
    return Segment(
        text, WrittenToken(int(token[0]), float(token[1]), float(token[2]), int(token[3])) if token else None
    )
