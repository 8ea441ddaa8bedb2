"""The list of the library's datasets: their numbers of rows by split, and the runs that use them. No torch import."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from terrarium.models.corpora.corpus import Corpus, list_corpora
from terrarium.models.library.library import Library
from terrarium.models.library.run_record import read_record

_CHUNK_BYTES = 1 << 24


@dataclass(frozen=True, kw_only=True)
class DatasetInfo:
    """A dataset, its number of rows by split, and the names of the runs that use it."""

    corpus: Corpus
    n_rows: Mapping[str, int]
    used_by: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The displayed name."""
        return self.corpus.label


def list_datasets(library: Library) -> list[DatasetInfo]:
    """Return all readable datasets, sorted by name. Reads all of their files: do not call it on the window's thread."""
    users = _users(library)
    return sorted(
        (
            DatasetInfo(
                corpus=corpus,
                n_rows={split: _count_lines(corpus.path(split)) for split in corpus.splits},
                used_by=tuple(users.get(corpus.sha, ())),
            )
            for corpus in list_corpora(library)
            if corpus.task
        ),
        key=lambda info: info.name.lower(),
    )


def _users(library: Library) -> dict[str, list[str]]:
    """Map the folder name of each corpus to the names of the runs that were made from it."""
    users: dict[str, list[str]] = {}
    for record_file in sorted(library.runs.glob("*/run.json")):
        with contextlib.suppress(ValueError, KeyError, TypeError, OSError):
            record = read_record(record_file.parent)
            users.setdefault(str(record["lineage"]["corpus"]["sha256"])[:12], []).append(str(record["name"]))
    return users


def _count_lines(path: Path) -> int:
    n = 0
    with contextlib.suppress(OSError), path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            n += chunk.count(b"\n")
    return n
