"""The notebook on disk: its text in pieces, written by a person or, token by token, by a model."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from models.files.atomic import atomic_write_text, read_json
from models.library.library import Library

FORMAT = 1


class WrittenToken(NamedTuple):
    """A token that a model wrote, as in `models.events.TokenMade`; probability 0 where it is not known."""

    id: int
    probability: float = 0.0
    entropy: float = 0.0
    rank: int = 0


class Segment(NamedTuple):
    """A part of the text. `token`: which token it is; None for what a person wrote."""

    text: str
    token: WrittenToken | None = None


def open_notebook(library: Library) -> tuple[Path, list[Segment]]:
    """Where the notebook is kept, and what is in it: not in a file that cannot be read, which is left alone."""
    for path in _paths(library):
        with contextlib.suppress(ValueError):
            return path, read_notebook(path)
    raise AssertionError("there is always another path")


def free_path(library: Library) -> Path:
    """Where no notebook is yet."""
    return next(path for path in _paths(library) if not path.exists())


def _paths(library: Library) -> Iterator[Path]:
    yield library.home / "notebook.json"
    for number in itertools.count(2):
        yield library.home / f"notebook-{number}.json"


def read_notebook(path: Path) -> list[Segment]:
    """The notebook in a file; empty where there is none.

    Raises:
        ValueError: where it is damaged, or from a newer Terrarium.
    """
    if not path.exists():
        return []
    said = read_json(path)
    if said.get("format") != FORMAT:
        raise ValueError(f"{path} was written by a newer Terrarium: open it with that one.")
    try:
        return [_segment(item) for item in said["pieces"]]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged: {error!s:.80} is missing or wrong.") from error


def write_notebook(path: Path, segments: Sequence[Segment]) -> None:
    """Keep the notebook; OSError where the disk does not take it."""
    lines = ",\n".join("  " + json.dumps([segment.text, *(segment.token or ())], ensure_ascii=False) for segment in segments)
    atomic_write_text(path, f'{{\n "format": {FORMAT},\n "pieces": [\n{lines}\n ]\n}}\n')


def _segment(item: Any) -> Segment:
    text, *token = item
    if not isinstance(text, str):
        raise TypeError(f"the text {text!r:.40}")
    return Segment(text, WrittenToken(int(token[0]), float(token[1]), float(token[2]), int(token[3])) if token else None)
