"""A scan of all rows of a source: the per-row numbers by which rows are compared, fixed and split."""

from __future__ import annotations

import hashlib
import json
from array import array
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from terrarium.models.corpora.corpus import Example, json_line
from terrarium.models.events import Event, ProgressMeter
from terrarium.models.files.atomic import file_stamp
from terrarium.models.importing.cells import EmptyRowError, RowError
from terrarium.models.importing.columns import Column, Rows
from terrarium.models.importing.formats.registry import Source, open_source
from terrarium.models.importing.formats.rows import BadRecord, Record
from terrarium.models.importing.near_duplicates import MAX_CHARACTERS, N_HASHES, MinHash, near_groups
from terrarium.models.importing.plan import GROUP, ImportPlan
from terrarium.models.importing.task_rows import task_row
from terrarium.models.library.library import Library
from terrarium.models.settings.tasks import PREFERENCE_TASKS
from terrarium.models.tokenizers.special_tokens import unknown_ids
from terrarium.models.tokenizers.store import load_tokenizer

MAX_NEAR = 50_000
"""Only the first distinct texts, up to this many, are compared for near-duplicates."""
GOOD, EMPTY, INVALID, DAMAGED = 0, 1, 2, 3
"""State of a row: DAMAGED violates its format; EMPTY and INVALID can be read, but are not rows of the task."""
TRAIN, VAL, TEST = 0, 1, 2
SPLIT_CODES = {"": TRAIN, "train": TRAIN, "val": VAL, "test": TEST}
PROGRESS_ROWS = 100
PROGRESS_BYTES = 1 << 20
"""Maximum number of rows, and approximate number of bytes, between two events."""

_INPUTS = frozenset({"text", "text_pair", "messages", "words", "question", "context", "source"})
"""The columns of tasks that are a model's input; the others are what it learns to predict."""
_MESSAGE_TOKENS = 4
"""Approximate number of tokens that a chat template adds to each message."""
_TOKENIZER_BATCH = 64


@dataclass(frozen=True, kw_only=True)
class Scan:
    """The per-row data of a source, n rows in all.

    fault: GOOD, EMPTY, INVALID or DAMAGED. damaged: the rows that are DAMAGED. given: the row's split in the source.
    row, input: 64-bit hashes of its normalised text, with and without what is to be learned. group: a hash of what may
    not be divided between splits; None if that is the input. label: index in `label_names`, −1 if the task has none.
    compared: the rows that were compared for near-duplicates; near: for each of them, the first of its near-duplicates.
    n_tokens, n_unknown: None without a tokenizer. label_counts: label or tag → occurrences. n_given: split → rows that
    have it in the source. n_bytes: of all rows as JSON.
    """

    stamp: tuple[object, ...]
    fault: Column
    damaged: tuple[BadRecord, ...]
    given: Column
    row: Column
    input: Column
    group: Column | None
    label: Column
    compared: Rows
    near: Rows
    n_tokens: Column | None
    n_unknown: Column | None
    label_names: tuple[str, ...]
    label_counts: Counter[str]
    n_given: Counter[int]
    n_bytes: int

    def __len__(self) -> int:
        return len(self.fault)


def source_stamp(source: Source, plan: ImportPlan) -> tuple[object, ...]:
    """Return everything that a scan depends on: equal stamps mean equal scans."""
    files = tuple((file.name, file_stamp(file.path)) for file in source.files)
    return files, source.options, plan.task, tuple(sorted(plan.columns.items())), plan.tokenizer


def scan_events(library: Library, plan: ImportPlan) -> Generator[Event, None, Scan]:
    """Scan all rows. Yields Progress (bytes).

    Raises:
        ValueError: if a file is damaged, with file and line; or the tokenizer is missing, or there are no rows.
    """
    source = open_source(plan.paths, plan.read)
    tokenizer = load_tokenizer(plan.tokenizer, library) if plan.tokenizer else None
    library.corpora.mkdir(parents=True, exist_ok=True)
    columns = _Columns(plan, tokenizer, library.corpora)
    meter = ProgressMeter(source.meter.total)
    for record, is_due in paced(source):
        if is_due:
            yield meter.progress(source.meter.done)
        if record is not None:
            columns.add(record)
    if not len(columns.fault):
        raise ValueError(f"{source.files[0].name} has no rows: choose a file with data in it.")
    return (yield from columns.scan(source_stamp(source, plan)))


def paced(source: Source) -> Iterator[tuple[Record | BadRecord | None, bool]]:
    """Yield the rows of a source, each with whether an event is due; None if an event is due before the next row."""
    n = seen = 0
    for record in source.items():
        n, read = n + 1, source.meter.done
        is_due = record is None or n >= PROGRESS_ROWS or read - seen >= PROGRESS_BYTES
        if is_due:
            n, seen = 0, read
        yield record, is_due


def input_text(task: str, row: Example) -> str:
    """Return the input text of a row, without what the model learns to predict."""
    if task in ("chat", *PREFERENCE_TASKS):
        return "\n".join(message["content"] for message in row["messages"])
    if task == "tagging":
        return " ".join(row["words"])
    if task == "span":
        return f"{row['question']}\n{row['context']}"
    if task == "text-to-text":
        return str(row["source"])
    return "\n".join(row[name] for name in ("text", "text_pair") if name in row)


def row_labels(task: str, row: Example) -> list[str]:
    """Return the labels of a row, for tasks with labels."""
    if task == "classification":
        return [row["label"]]
    found: list[str] = row.get("labels" if task == "multi-label" else "tags", []) if task != "language" else []
    return found


def hash_text(text: str) -> int:
    """Return a 64-bit hash of a text that ignores case and differences in white space."""
    return int.from_bytes(hashlib.blake2b(normalised(text).encode(), digest_size=8).digest(), "little")


def normalised(text: str) -> str:
    """Casefold a text, and collapse white space to single spaces."""
    # The space is the only printable white space, so most texts need no splitting and joining.
    if text.isprintable() and "  " not in text and text[:1] != " " and text[-1:] != " ":
        return text.casefold()
    return " ".join(text.casefold().split())


class _Columns:
    """A scan under construction, one row at a time."""

    def __init__(self, plan: ImportPlan, tokenizer: Tokenizer | None, folder: Path) -> None:
        self._plan, self._tokenizer = plan, tokenizer
        self._unknown = unknown_ids(tokenizer) if tokenizer is not None else frozenset()
        self.fault, self._given = Column(np.uint8, folder), Column(np.uint8, folder)
        self._damaged = list[BadRecord]()
        self._n_given = Counter[int]()
        self._input, self._label = Column(np.uint64, folder), Column(np.int32, folder)
        has_answers = plan.task not in ("language", "chat")
        self._row = Column(np.uint64, folder) if has_answers else self._input
        has_groups = bool(plan.columns.get(GROUP)) or plan.task == "span"
        self._group = Column(np.uint64, folder) if has_groups else None
        self._labels = dict[str, int]()
        self._counts, self._n_bytes = Counter[str](), 0
        self._tokens = None if tokenizer is None else Column(np.int32, folder)
        self._n_unknown = None if tokenizer is None else Column(np.int32, folder)
        self._pending = list[tuple[str, int]]()
        self._hashes, self._seen = MinHash(), set[int]()
        self._near_rows, self._signatures = array("q"), bytearray()

    def add(self, record: Record | BadRecord) -> None:
        self._given.append(SPLIT_CODES[record.split])
        self._n_given[SPLIT_CODES[record.split]] += 1
        if isinstance(record, BadRecord):
            self._damaged.append(record)
            self._add_fault(DAMAGED)
            return
        values = record.values
        try:
            row = task_row(self._plan, values)
            data = json_line(row).encode()
        except (RowError, UnicodeEncodeError) as error:
            self._add_fault(EMPTY if isinstance(error, EmptyRowError) else INVALID)
            return
        task = self._plan.task
        self.fault.append(GOOD)
        self._n_bytes += len(data)
        text, labels = input_text(task, row), row_labels(task, row)
        key = hash_text(text)
        answer = [value for name, value in row.items() if name not in _INPUTS]
        whole = hash_text(f"{key}: {json.dumps(answer, ensure_ascii=False)}") if answer else key
        group = values.get(self._plan.columns[GROUP]) if self._plan.columns.get(GROUP) else None
        together = str(group) if group is not None else row["context"] if task == "span" else None
        self._add_hashes(whole, key, key if together is None else hash_text(f"group:{together}"))
        if labels:
            self._counts.update(labels)
        name = "; ".join(labels) if task in ("classification", "multi-label") else None
        self._label.append(-1 if name is None else self._labels.setdefault(name, len(self._labels)))
        self._add_near(key, text)
        n_messages = len(row.get("messages", ()))
        written = row["target"] if task == "text-to-text" else ""
        if task == "preference":
            written, n_messages = max(row["chosen"], row["rejected"], key=len), n_messages + 1
        if task == "unpaired":
            written, n_messages = row["completion"], n_messages + 1
        self._add_tokens(f"{text}\n{written}" if written else text, _MESSAGE_TOKENS * n_messages)

    def _add_fault(self, fault: int) -> None:
        self.fault.append(fault)
        self._add_hashes(0, 0, 0)
        self._label.append(-1)
        self._add_tokens("", 0)

    def _add_hashes(self, row: int, input: int, group: int) -> None:
        self._input.append(input)
        if self._row is not self._input:
            self._row.append(row)
        if self._group is not None:
            self._group.append(group)

    def _add_near(self, key: int, text: str) -> None:
        if len(self._seen) < MAX_NEAR and key not in self._seen:
            self._seen.add(key)
            self._near_rows.append(len(self._input) - 1)
            self._signatures += self._hashes.signature(normalised(text[: 2 * MAX_CHARACTERS])).tobytes()

    def _add_tokens(self, text: str, more: int) -> None:
        if self._tokenizer is None:
            return
        self._pending.append((text, more))
        if len(self._pending) == _TOKENIZER_BATCH:
            self._count_tokens()

    def _count_tokens(self) -> None:
        assert self._tokenizer is not None
        assert self._tokens is not None and self._n_unknown is not None  # noqa: PT018
        encodings = self._tokenizer.encode_batch([text for text, _ in self._pending], add_special_tokens=False)
        for encoding, (_, more) in zip(encodings, self._pending, strict=True):
            ids = encoding.ids
            self._tokens.append(len(ids) + more)
            self._n_unknown.append(sum(id in self._unknown for id in ids) if self._unknown else 0)
        self._pending = []

    def scan(self, stamp: tuple[object, ...]) -> Generator[Event, None, Scan]:
        """Finish the scan. Yields Progress."""
        if self._pending:
            self._count_tokens()
        rows = np.frombuffer(self._near_rows, np.int64)
        signatures = np.frombuffer(self._signatures, np.uint32).reshape(-1, N_HASHES)
        first = (yield from near_groups(signatures)) if len(rows) else np.zeros(0, np.int64)
        return Scan(
            stamp=stamp,
            fault=self.fault,
            damaged=tuple(self._damaged),
            given=self._given,
            row=self._row,
            input=self._input,
            group=self._group,
            label=self._label,
            compared=rows,
            near=rows[first],
            n_tokens=self._tokens,
            n_unknown=self._n_unknown,
            label_names=tuple(self._labels),
            label_counts=self._counts,
            n_given=self._n_given,
            n_bytes=self._n_bytes,
        )


def sorted_labels(names: Iterable[str]) -> list[str]:
    """Sort labels in the order of a model's outputs: “O” first, numbers by size, then by name."""
    return sorted(
        names, key=lambda name: (name != "O", not name.isdecimal(), int(name) if name.isdecimal() else 0, name)
    )
