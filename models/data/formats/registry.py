"""The formats: which one a file has, and the records of all files of a source, one after another."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from models.data.formats.files import FormatError, Meter, SourceFile, find_files, read_lines
from models.data.formats.json_rows import read_json, read_jsonl
from models.data.formats.rows import ReadOptions, Record, Row
from models.data.formats.tables import read_table

_N_COMPARED = 100
"""How many rows of each file are compared for their columns."""

Reader = Callable[[SourceFile, ReadOptions, Meter | None], Iterator[tuple[int, Row]]]


@dataclass(frozen=True, kw_only=True)
class Format:
    """A choice of `ReadOptions.format`. title: its name on screen. suffixes: of its files, in lower case."""

    title: str
    suffixes: tuple[str, ...]
    read: Reader
    has_header: bool = False
    """Whether each file says itself which columns it has; else the rows do, and some may lack one."""


FORMATS = {
    "csv": Format(
        title="Table (CSV, TSV)", suffixes=(".csv", ".tsv", ".tab", ".psv"), read=read_table, has_header=True
    ),
    "jsonl": Format(title="JSON lines", suffixes=(".jsonl", ".ndjson"), read=read_jsonl),
    "json": Format(title="JSON", suffixes=(".json",), read=read_json),
}


@dataclass(kw_only=True)
class Source:
    """The files of one format among those that the user chose.

    options: with everything guessed filled in. left_out: names of files that are not read. configs: those of a Hugging
    Face folder. meter: how much `records` has read.
    """

    format: str
    options: ReadOptions
    files: tuple[SourceFile, ...]
    left_out: tuple[str, ...]
    configs: tuple[str, ...] = ()
    meter: Meter

    def records(self) -> Iterator[Record]:
        """All rows, file after file.

        Raises:
            ValueError: where a file is damaged, or has other columns than the first: with file and line.
        """
        self.meter.done = 0
        known = FORMATS[self.format]
        has_folders = len({file.folder for file in self.files}) > 1
        first: _Columns | None = None
        for file in self.files:
            rows = known.read(file, self.options, self.meter)
            head = list(itertools.islice(rows, _N_COMPARED))
            if head:
                columns = _Columns(file.name, head, known.has_header)
                first = first or columns
                first.compare(columns)
            for line, values in itertools.chain(head, rows):
                if has_folders and "folder" not in values:
                    values["folder"] = PurePosixPath(file.folder).name or None
                yield Record(values, file.name, line, file.split)


class _Columns:
    """Those of a file, as its first rows have them."""

    def __init__(self, file: str, head: Sequence[tuple[int, Row]], has_header: bool) -> None:
        self.file, self.line = file, head[0][0]
        self.names = {name for _, row in head for name in row}
        rows = [row.keys() for _, row in head]
        self.required = self.names if has_header else set(rows[0]).intersection(*rows)
        self.kinds = {name: {kind for _, row in head if (kind := _kind(row.get(name)))} for name in self.names}

    def compare(self, other: _Columns) -> None:
        """Raise FormatError where the other file's columns are not these."""
        missing, more = sorted(self.required - other.names), sorted(other.required - self.names)
        if missing or more:
            what = f"it lacks the column {missing[0]!r}" if missing else f"it has a column {more[0]!r}"
            has = "has" if missing else "lacks"
            raise FormatError(
                other.file, other.line, f"{what}, which {self.file} {has}: choose files with the same columns."
            )
        for name in sorted(self.names & other.names):
            if self.kinds[name] and other.kinds[name] and not self.kinds[name] & other.kinds[name]:
                raise FormatError(
                    other.file,
                    other.line,
                    f"its column {name!r} holds a {min(other.kinds[name])}, but in {self.file} "
                    f"a {min(self.kinds[name])}: choose files with the same columns.",
                )


def _kind(value: Any) -> str:
    """Of what kind a value is, as far as that cannot be mixed; "" for none."""
    if value is None:
        return ""
    return "list" if isinstance(value, list) else "object" if isinstance(value, dict) else "text or number"


def open_source(paths: Sequence[Path | str], options: ReadOptions | None = None) -> Source:
    """The files that paths stand for, and in which format they are; nothing but their beginnings is read.

    Raises:
        ValueError: where there is no file of a known format, or files of several.
    """
    options = options or ReadOptions()
    if options.format and options.format not in FORMATS:
        raise ValueError(f"There is no format {options.format!r}: choose one of {', '.join(FORMATS)}.")
    found = find_files(paths)
    by_format: dict[str, list[SourceFile]] = {}
    for file in found:
        by_format.setdefault(options.format or detect(file, options), []).append(file)
    name = max(by_format, key=lambda name: len(by_format[name]))
    files = by_format[name]
    if not any(file.split == "train" for file in files):
        files = [replace(file, split="") for file in files]
    return Source(
        format=name,
        options=replace(options, format=name),
        files=tuple(files),
        left_out=tuple(file.name for file in found if file not in files),
        meter=Meter(total=sum(file.size for file in files)),
    )


def detect(file: SourceFile, options: ReadOptions) -> str:
    """The format of a file, by its suffix and its first lines."""
    for name, known in FORMATS.items():
        if file.suffix in known.suffixes:
            if name == "json" and _has_object_lines(file, options):
                return "jsonl"
            return name
    raise FormatError(file.name, 0, f"{file.suffix or 'a file without a suffix'} is no format that is read here.")


def _has_object_lines(file: SourceFile, options: ReadOptions) -> bool:
    """Whether a .json file has an object in each of its first two lines."""
    lines = [text.strip() for _, text in itertools.islice(read_lines(file, options.encoding), 2)]
    return len(lines) == 2 and all(text.startswith("{") and text.endswith("}") for text in lines)
