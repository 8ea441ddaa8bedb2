"""Inspection of a source before an import: its format, columns and first rows, and a guess of its task."""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from terrarium.models.events import Event, Phase, Progress, result_of
from terrarium.models.importing.formats.registry import Source, open_source
from terrarium.models.importing.formats.rows import BadRecord, ReadOptions, Row, is_number
from terrarium.models.importing.guessing import Column, guess_task
from terrarium.models.importing.preference_rows import import_notes
from terrarium.models.number_words import format_count
from terrarium.models.settings.tasks import PREFERENCE_TASKS

N_ROWS = 20
"""Number of rows that are shown."""
MAX_SEEN = 20_000
MAX_BYTES = 1 << 25
"""Limits of the inspected rows and bytes."""
MAX_UNIQUE = 10_000
_N_EXAMPLES, _N_BAD = 5, 10
_EXAMPLE_LENGTH = 80
_N_BINS = 20


@dataclass(frozen=True, kw_only=True)
class SourceInfo:
    """The contents of a source.

    format: a key of FORMATS. n_files: files that are read; left_out: the names of the others. n_rows: of the whole
    source; is_estimate: whether only the first `n_seen` rows, which the columns describe, were read. rows: the first
    ones, by column; a column "folder" is the folder of each row's file, if there are several. splits: the splits that
    the files are named after, with the rows read so far. task, roles: the guessed task and role → column, with the
    `reason`; task "" if undecided. bad_rows: the unreadable ones among the rows read. configs: those of a Hugging Face
    folder. warnings: sentences.
    """

    format: str
    n_files: int
    n_rows: int
    n_seen: int
    is_estimate: bool
    n_bytes: int
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    splits: Mapping[str, int]
    task: str
    roles: Mapping[str, str]
    reason: str
    bad_rows: tuple[BadRecord, ...] = ()
    left_out: tuple[str, ...] = ()
    configs: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def task_of_rows(file: Path | str) -> str:
    """Guess the task of a .jsonl or .csv file chosen as a text, from its first rows: “chat”; "" for running text."""
    if Path(file).suffix.lower() not in (".jsonl", ".csv"):
        return ""
    try:
        info = result_of(inspect_events([file], max_seen=N_ROWS))
    except ValueError:  # if at all, it is read as a text
        return ""
    return "" if info.task == "language" else info.task


def inspect_events(
    paths: Sequence[Path | str], options: ReadOptions | None = None, max_seen: int = MAX_SEEN
) -> Generator[Event, None, SourceInfo]:
    """Inspect the first `max_seen` rows, or MAX_BYTES, of a source. Yields Progress (bytes).

    Raises:
        ValueError: if nothing can be read, with file and line.
    """
    yield Phase(name="Looking at the source")
    source = open_source(paths, options)
    meter = source.meter
    columns = dict[str, _Tally]()
    rows, splits, n_seen, is_estimate = list[Row](), dict[str, int](), 0, False
    bad_rows = list[BadRecord]()
    for record in source.items():
        if record is None:
            yield Progress(done=meter.done, total=min(meter.total, MAX_BYTES))
            continue
        if isinstance(record, BadRecord):
            bad_rows.append(record)
            continue
        if n_seen >= max_seen or meter.done > MAX_BYTES:
            is_estimate = True
            break
        for name in record.values:
            if name not in columns:
                columns[name] = _Tally(n_missing=n_seen)
        for name, tally in columns.items():
            tally.add(record.values.get(name))
        if n_seen < N_ROWS:
            rows.append(record.values)
        if record.split:
            splits[record.split] = splits.get(record.split, 0) + 1
        n_seen += 1
        if n_seen % 500 == 0:
            yield Progress(done=meter.done, total=min(meter.total, MAX_BYTES))
    if not n_seen:
        raise ValueError(f"{source.files[0].name} has no rows: choose a file with data in it.")
    facts = {name: tally.column(name) for name, tally in columns.items()}
    guess = guess_task(facts, rows, is_text=source.format == "text")
    notes = import_notes(facts, guess.roles, rows) if guess.task in PREFERENCE_TASKS else []
    return SourceInfo(
        format=source.format,
        n_files=sum(1 + len(file.beside) for file in source.files),
        n_rows=max(n_seen + 1, round(n_seen * meter.total / max(meter.done, 1))) if is_estimate else n_seen,
        n_seen=n_seen,
        is_estimate=is_estimate,
        n_bytes=meter.total,
        columns=tuple(facts.values()),
        rows=tuple(rows),
        splits=splits,
        task=guess.task,
        roles=guess.roles,
        reason=guess.reason,
        bad_rows=tuple(bad_rows),
        left_out=source.left_out,
        configs=source.configs,
        warnings=(*_warnings(source, facts.values(), bad_rows), *notes),
    )


def _warnings(source: Source, columns: Iterable[Column], bad_rows: Sequence[BadRecord]) -> Iterator[str]:
    if bad_rows:
        lines = ", ".join(f"{row.line:,}" for row in bad_rows[:_N_BAD])
        more = ", …" if len(bad_rows) > _N_BAD else ""
        place = "line" if len(bad_rows) == 1 else "lines"
        yield f"{format_count(len(bad_rows), 'row')} cannot be read ({place} {lines}{more})."
    if source.left_out:
        names = ", ".join(Path(name).name for name in source.left_out[:3])
        yield (
            f"{format_count(len(source.left_out), 'file')} will not be read, being of other formats or no UTF-8 text: "
            f"{names}."
        )
    for column in columns:
        if column.type == "mixed":
            yield f"The column {column.name!r} holds values of different kinds."
        elif column.type == "empty":
            yield f"The column {column.name!r} is empty."


class _Tally:
    """Running statistics of a column."""

    def __init__(self, n_missing: int) -> None:
        self._n_missing = n_missing
        self._kinds = set[str]()
        self._values = set[str]()
        self._examples = dict[str, None]()
        self._lengths = array("q")

    def add(self, value: Any) -> None:
        if value is None or value == "":
            self._n_missing += 1
            return
        self._kinds.add(_kind(value))
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
        self._lengths.append(sum(map(len, map(str, value))) if isinstance(value, list) else len(text))
        if len(self._values) < MAX_UNIQUE:
            self._values.add(text if len(text) <= 64 else hashlib.blake2b(text.encode(errors="replace")).hexdigest())
        if len(self._examples) < _N_EXAMPLES:
            self._examples[text if len(text) <= _EXAMPLE_LENGTH else text[: _EXAMPLE_LENGTH - 1] + "…"] = None

    def column(self, name: str) -> Column:
        """Return the statistics of the column."""
        kinds = self._kinds - {"number"} if self._kinds == {"number", "text"} else self._kinds
        lengths = np.asarray(self._lengths)
        low, high = (int(lengths.min()), int(lengths.max())) if len(lengths) else (0, 0)
        counts, _ = np.histogram(lengths, bins=_N_BINS, range=(low, max(high, low + 1)))
        return Column(
            name=name,
            type="empty" if not kinds else kinds.copy().pop() if len(kinds) == 1 else "mixed",
            n_missing=self._n_missing,
            n_unique=len(self._values),
            lengths=(low, float(lengths.mean()) if len(lengths) else 0.0, high),
            histogram=tuple(int(n) for n in counts),
            examples=tuple(self._examples),
        )


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "truth value"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, list):
        return "list"
    if isinstance(value, dict):
        return "object"
    return "number" if is_number(value) else "text"
