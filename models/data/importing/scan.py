"""One reading of all rows: of each, some numbers stay, by which rows are compared, mended and split."""

from __future__ import annotations

import hashlib
import json
from array import array
from collections import Counter
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from models.data.corpus import Example
from models.data.formats.registry import Source, open_source
from models.data.importing.near_duplicates import MAX_CHARACTERS, N_HASHES, MinHash, near_groups
from models.data.importing.plan import GROUP, ImportPlan
from models.data.importing.task_rows import EmptyRowError, RowError, task_row
from models.events import Event, Progress
from models.files.atomic import file_stamp
from models.library.library import Library
from models.tokenizers.special_tokens import unknown_ids
from models.tokenizers.store import load_tokenizer

MAX_NEAR = 50_000
"""Only so many different texts, the first ones, are compared for being almost the same."""
GOOD, EMPTY, INVALID = 0, 1, 2
TRAIN, VAL, TEST = 0, 1, 2
SPLIT_CODES = {"": TRAIN, "train": TRAIN, "val": VAL, "test": TEST}
PROGRESS_ROWS = 100
"""So many rows are read between two events."""

_INPUTS = frozenset({"text", "text_pair", "messages", "words", "question", "context", "source"})
"""The columns of tasks that a model reads: the others it has to find out."""
_MESSAGE_TOKENS = 4
"""What a chat template adds to each message, about."""
_TOKENIZER_BATCH = 64


@dataclass(frozen=True, kw_only=True)
class Scan:
    """What is known of each row of a source, n in all.

    fault: GOOD, EMPTY or INVALID. given: the split that it has in the source. row, input: 64-bit hashes of its
    normalised text, with and without what is to be learned. group: a hash of what may not be divided between splits.
    label: index in `label_names`, −1 where the task has none. near: index of the first row that is almost the same.
    n_tokens, n_unknown: empty without a tokenizer. label_counts: label or tag → how often it occurs. n_compared: rows
    that were compared for being almost the same. n_bytes: of all rows as JSON.
    """

    stamp: tuple[object, ...]
    fault: npt.NDArray[np.uint8]
    given: npt.NDArray[np.uint8]
    row: npt.NDArray[np.uint64]
    input: npt.NDArray[np.uint64]
    group: npt.NDArray[np.uint64]
    label: npt.NDArray[np.int32]
    near: npt.NDArray[np.int64]
    n_tokens: npt.NDArray[np.int32]
    n_unknown: npt.NDArray[np.int32]
    label_names: tuple[str, ...]
    label_counts: Counter[str]
    n_compared: int
    n_bytes: int

    def __len__(self) -> int:
        return len(self.fault)


def source_stamp(source: Source, plan: ImportPlan) -> tuple[object, ...]:
    """What a scan depends on: two that are equal give the same."""
    files = tuple((file.name, file_stamp(file.path)) for file in source.files)
    return files, source.options, plan.task, tuple(sorted(plan.columns.items())), plan.tokenizer


def scan_events(library: Library, plan: ImportPlan) -> Generator[Event, None, Scan]:
    """Read all rows. Yields Progress (bytes).

    Raises:
        ValueError: where a file is damaged, with file and line; or there is no such tokenizer, or no row.
    """
    source = open_source(plan.paths, plan.read)
    tokenizer = load_tokenizer(plan.tokenizer, library) if plan.tokenizer else None
    columns = _Columns(plan, tokenizer)
    for n, record in enumerate(source.records(), 1):
        columns.add(record.values, record.split)
        if n % PROGRESS_ROWS == 0:
            yield Progress(done=source.meter.done, total=source.meter.total)
    if not columns.fault:
        raise ValueError(f"{source.files[0].name} has no rows: choose a file with data in it.")
    return columns.scan(source_stamp(source, plan))


def input_text(task: str, row: Example) -> str:
    """What a model reads of a row, without what it has to find out."""
    if task == "chat":
        return "\n".join(message["content"] for message in row["messages"])
    if task == "tagging":
        return " ".join(row["words"])
    if task == "span":
        return f"{row['question']}\n{row['context']}"
    if task == "text-to-text":
        return str(row["source"])
    return "\n".join(row[name] for name in ("text", "text_pair") if name in row)


def row_labels(task: str, row: Example) -> list[str]:
    """The labels of a row, of the tasks that learn some."""
    if task == "classification":
        return [row["label"]]
    found: list[str] = row.get("labels" if task == "multi-label" else "tags", []) if task != "language" else []
    return found


def hash_text(text: str) -> int:
    """64 bits of a text in which capitals and white space do not matter."""
    return int.from_bytes(hashlib.blake2b(normalised(text).encode(), digest_size=8).digest(), "little")


def normalised(text: str) -> str:
    """Without capitals, with one space for any white space."""
    return " ".join(text.casefold().split())


class _Columns:
    """A scan that grows by a row at a time."""

    def __init__(self, plan: ImportPlan, tokenizer: Tokenizer | None) -> None:
        self._plan, self._tokenizer = plan, tokenizer
        self._unknown = unknown_ids(tokenizer) if tokenizer is not None else frozenset()
        self.fault, self._given = array("B"), array("B")
        self._row, self._input, self._group = array("Q"), array("Q"), array("Q")
        self._label, self._labels = array("i"), dict[str, int]()
        self._counts, self._n_bytes = Counter[str](), 0
        self._tokens, self._n_unknown = array("i"), array("i")
        self._pending = list[tuple[str, int]]()
        self._hashes, self._seen = MinHash(), set[int]()
        self._near_rows, self._signatures = array("q"), bytearray()

    def add(self, values: dict[str, Any], split: str) -> None:
        self._given.append(SPLIT_CODES[split])
        try:
            row = task_row(self._plan, values)
            data = json.dumps(row, ensure_ascii=False).encode()
        except (RowError, UnicodeEncodeError) as error:
            self.fault.append(EMPTY if isinstance(error, EmptyRowError) else INVALID)
            for column in (self._row, self._input, self._group):
                column.append(0)
            self._label.append(-1)
            self._add_tokens("", 0)
            return
        task = self._plan.task
        self.fault.append(GOOD)
        self._n_bytes += len(data) + 1
        text, labels = input_text(task, row), row_labels(task, row)
        key = hash_text(text)
        self._input.append(key)
        answer = [value for name, value in row.items() if name not in _INPUTS]
        self._row.append(hash_text(f"{key}: {json.dumps(answer, ensure_ascii=False)}") if answer else key)
        group = values.get(self._plan.columns[GROUP]) if self._plan.columns.get(GROUP) else None
        together = str(group) if group is not None else row["context"] if task == "span" else None
        self._group.append(key if together is None else hash_text(f"group:{together}"))
        self._counts.update(labels)
        name = "; ".join(labels) if task in ("classification", "multi-label") else None
        self._label.append(-1 if name is None else self._labels.setdefault(name, len(self._labels)))
        self._add_near(key, text)
        n_messages = len(row["messages"]) if task == "chat" else 0
        self._add_tokens(f"{text}\n{row['target']}" if task == "text-to-text" else text, _MESSAGE_TOKENS * n_messages)

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
        encodings = self._tokenizer.encode_batch([text for text, _ in self._pending], add_special_tokens=False)
        for encoding, (_, more) in zip(encodings, self._pending, strict=True):
            ids = encoding.ids
            self._tokens.append(len(ids) + more)
            self._n_unknown.append(sum(id in self._unknown for id in ids) if self._unknown else 0)
        self._pending = []

    def scan(self, stamp: tuple[object, ...]) -> Scan:
        """All of it."""
        if self._pending:
            self._count_tokens()
        n = len(self.fault)
        near, rows = np.arange(n), np.frombuffer(self._near_rows, np.int64)
        signatures = np.frombuffer(bytes(self._signatures), np.uint32).reshape(-1, N_HASHES)
        near[rows] = rows[near_groups(signatures)] if len(rows) else rows
        return Scan(
            stamp=stamp,
            fault=np.frombuffer(self.fault, np.uint8),
            given=np.frombuffer(self._given, np.uint8),
            row=np.frombuffer(self._row, np.uint64),
            input=np.frombuffer(self._input, np.uint64),
            group=np.frombuffer(self._group, np.uint64),
            label=np.frombuffer(self._label, np.int32),
            near=near,
            n_tokens=np.frombuffer(self._tokens, np.int32),
            n_unknown=np.frombuffer(self._n_unknown, np.int32),
            label_names=tuple(self._labels),
            label_counts=self._counts,
            n_compared=len(rows),
            n_bytes=self._n_bytes,
        )


def sorted_labels(names: Iterable[str]) -> list[str]:
    """Labels in the order of a model's outputs: “O” first, numbers by size, then by name."""
    return sorted(
        names, key=lambda name: (name != "O", not name.isdecimal(), int(name) if name.isdecimal() else 0, name)
    )
