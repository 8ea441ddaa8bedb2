"""The registry of formats: detection of a file's format, and the records of all files of a source."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from terrarium.models.importing.formats.catalogues import read_mo, read_po, read_qm
from terrarium.models.importing.formats.files import (
    FormatError,
    Meter,
    SourceFile,
    find_files,
    read_chunks,
    read_lines,
    unpacking_limit,
)
from terrarium.models.importing.formats.hub_folder import read_hub_folder, refuse_arrow_folder
from terrarium.models.importing.formats.json_rows import read_json, read_jsonl
from terrarium.models.importing.formats.parallel import pair_files, read_parallel, read_tmx
from terrarium.models.importing.formats.parquet import name_labels, read_parquet
from terrarium.models.importing.formats.plain import SUFFIXES as TEXT_SUFFIXES
from terrarium.models.importing.formats.plain import read_text
from terrarium.models.importing.formats.rows import (
    MAX_BAD_ROWS,
    MAX_COLUMNS,
    TICK,
    BadRecord,
    BadRow,
    ReadOptions,
    Record,
    Row,
)
from terrarium.models.importing.formats.squad import read_squad
from terrarium.models.importing.formats.tables import n_tabs, read_table
from terrarium.models.importing.formats.tagged import (
    looks_like_conll,
    looks_like_word_tags,
    read_conll,
    read_conllu,
    read_word_tags,
)

_N_SAMPLE = 60
_DOCUMENTATION = re.compile(r"(?i)(readme|licen[cs]e|copying|changelog|changes|notice|citation|contributing)\b|.*\.md$")
_N_COMPARED = 100
_MAX_COMPARED = 1 << 20
"""Limits of the rows at the start of each file whose columns are compared, and approximately of their characters."""

Reader = Callable[[SourceFile, ReadOptions, Meter | None], Iterator[tuple[int, Row]]]


@dataclass(frozen=True, kw_only=True)
class Format:
    """A choice of `ReadOptions.format`. title: its name on screen. suffixes: of its files, in lower case."""

    title: str
    suffixes: tuple[str, ...]
    read: Reader
    has_header: bool = False
    """Whether each file declares its columns; otherwise they follow from the rows, some of which may lack a column."""


FORMATS = {
    "csv": Format(
        title="Table (CSV, TSV)", suffixes=(".csv", ".tsv", ".tab", ".psv"), read=read_table, has_header=True
    ),
    "jsonl": Format(title="JSON lines", suffixes=(".jsonl", ".ndjson"), read=read_jsonl),
    "json": Format(title="JSON", suffixes=(".json",), read=read_json),
    "parquet": Format(title="Parquet", suffixes=(".parquet", ".pq"), read=read_parquet, has_header=True),
    "squad": Format(title="SQuAD", suffixes=(), read=read_squad),
    "conllu": Format(title="CoNLL-U", suffixes=(".conllu",), read=read_conllu),
    "conll": Format(
        title="CoNLL (a word a line)", suffixes=(".conll", ".iob", ".iob2", ".bio"), read=read_conll, has_header=True
    ),
    "word-tags": Format(title="Words with tags (word/TAG)", suffixes=(".tagged",), read=read_word_tags),
    "parallel": Format(title="Files line by line (x.en, x.fr)", suffixes=(), read=read_parallel, has_header=True),
    "tmx": Format(title="Translation memory (TMX)", suffixes=(".tmx",), read=read_tmx),
    "po": Format(title="gettext (.po)", suffixes=(".po", ".pot"), read=read_po),
    "mo": Format(title="gettext, compiled (.mo)", suffixes=(".mo",), read=read_mo),
    "qm": Format(title="Qt translation (.qm)", suffixes=(".qm",), read=read_qm),
    "text": Format(title="Plain text or code", suffixes=TEXT_SUFFIXES, read=read_text),
}

_REFUSED = {
    (".xlsx", ".xls", ".ods"): "a spreadsheet: save it as CSV",
    (".pdf", ".docx", ".doc", ".odt", ".rtf", ".epub"): "a document with a layout: save it as plain text",
    (".arrow", ".feather"): "Arrow: write it as Parquet, with datasets: ds.to_parquet()",
    (".pkl", ".pickle", ".pt", ".npy", ".npz"): "a Python file that could run code: write its rows as JSON lines",
    (".db", ".sqlite", ".sqlite3"): "a database: export the table as CSV",
    (".xml",): "XML of another kind than TMX: convert it to JSON lines",
    (".png", ".jpg", ".jpeg", ".gif", ".webp", ".mp3", ".wav", ".mp4"): "no text: models here read text only",
}
"""Suffixes that are refused → what they are, and what to do instead."""


@dataclass(kw_only=True)
class Source:
    """The files of one format among those that the user chose.

    options: completed with all guesses. left_out: names of files that are not read. configs: those of a Hugging Face
    folder. labels: column → names of the labels that are stored as numbers. meter: how much `records` has read.
    """

    format: str
    options: ReadOptions
    files: tuple[SourceFile, ...]
    left_out: tuple[str, ...]
    configs: tuple[str, ...]
    labels: Mapping[str, tuple[str, ...]]
    meter: Meter

    def records(self) -> Iterator[Record]:
        """Yield all rows, file after file.

        Raises:
            ValueError: as `items`, and for the first unreadable row.
        """
        for item in self.items():
            if isinstance(item, BadRecord):
                raise FormatError(item.file, item.line, item.what)
            if item is not None:
                yield item

    def items(self) -> Iterator[Record | BadRecord | None]:
        """Yield all rows, file after file, including unreadable ones; and None if no row comes for long.

        Raises:
            ValueError: if a file is damaged, or its columns differ from the first file's: with file and line; if there
            are
                too many columns, or too many unreadable rows.
        """
        self.meter.done = 0
        seen, n_bad = set[str](), 0
        known = FORMATS[self.format]
        has_folders = len({file.folder for file in self.files}) > 1
        first: _Columns | None = None
        for file in self.files:
            rows = known.read(file, self.options, self.meter)
            head = list[tuple[int, Row]]()
            for line, values in _head(rows):
                if values is TICK:
                    yield None
                else:
                    head.append((line, values))
            good = [each for each in head if not isinstance(each[1], BadRow)]
            if good:
                columns = _Columns(file.name, good, known.has_header)
                first = first or columns
                first.compare(columns)
            for line, values in itertools.chain(head, rows):
                if values is TICK:
                    yield None
                    continue
                if isinstance(values, BadRow):
                    n_bad += 1
                    if not good or n_bad > MAX_BAD_ROWS:
                        before = f" {n_bad - 1:,} rows before it are wrong, too." if good else ""
                        raise FormatError(file.name, line, values.what + before)
                    yield BadRecord(values.what, values.text, file.name, line, file.split)
                    continue
                if not values.keys() <= seen:
                    seen.update(values)
                    if len(seen) > MAX_COLUMNS:
                        raise FormatError(
                            file.name,
                            line,
                            f"up to here the rows have more than {MAX_COLUMNS} columns together: each row should have "
                            "the same ones.",
                        )
                for column, names in self.labels.items():
                    if column in values:
                        values[column] = name_labels(values[column], names)
                if has_folders and "folder" not in values:
                    values["folder"] = file.folder or None
                yield Record(values, file.name, line, file.split)


def _head(rows: Iterator[tuple[int, Row]]) -> Iterator[tuple[int, Row]]:
    """Yield the first rows, which are compared; fewer if they are long."""
    n = size = 0
    for line, row in rows:
        yield line, row
        if row is not TICK:
            n += 1
            size += len(str(row))
        if n == _N_COMPARED or size > _MAX_COMPARED:
            break


class _Columns:
    """The columns of a file, according to its first rows."""

    def __init__(self, file: str, head: Sequence[tuple[int, Row]], has_header: bool) -> None:
        self.file, self.line = file, head[0][0]
        self.names = {name for _, row in head for name in row}
        rows = [row.keys() for _, row in head]
        self.required = self.names if has_header else set(rows[0]).intersection(*rows)
        self.kinds = {name: {kind for _, row in head if (kind := _kind(row.get(name)))} for name in self.names}

    def compare(self, other: _Columns) -> None:
        """Raise FormatError if the other file's columns differ."""
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
    """Return the kind of a value, as far as kinds cannot be mixed; "" for None."""
    if value is None:
        return ""
    return "list" if isinstance(value, list) else "object" if isinstance(value, dict) else "text or number"


def open_source(paths: Sequence[Path | str], options: ReadOptions | None = None) -> Source:
    """Detect the files that paths stand for, and their format; only their beginnings are read.

    Raises:
        ValueError: if no file has a known format, or files have different formats.
    """
    options = options or ReadOptions()
    if options.format and options.format not in FORMATS:
        raise ValueError(f"There is no format {options.format!r}: choose one of {', '.join(FORMATS)}.")
    found, configs, labels = list[SourceFile](), tuple[str, ...](), dict[str, tuple[str, ...]]()
    chosen = [Path(path).expanduser() for path in paths]
    for path in chosen:
        if path.is_dir():
            refuse_arrow_folder(path)
        inside = find_files([path])
        if path.is_dir() and (folder := read_hub_folder(path, inside, options.config)):
            inside, configs = list(folder.files), folder.configs
            labels |= folder.labels
        found += inside
    if not found:
        raise ValueError("No file chosen: choose a file, a folder or a .zip.")
    groups = _by_format(found, options, chosen)
    name = _most_likely(groups)
    files = groups[name]
    others = [file for group in groups for file in groups[group] if group != name]
    for file in others:
        if file.path in chosen and not file.member:
            raise ValueError(
                f"{files[0].name} is {FORMATS[name].title} and {file.name} is not: choose files of one format."
            )
    if not any(file.split == "train" for file in files):
        files = [replace(file, split="") for file in files]
    if name == "text" and not options.unit:
        options = replace(options, unit="file" if len(files) > 1 else "paragraph")
    read = {each.name for file in files for each in (file, *file.beside)}
    return Source(
        format=name,
        options=replace(options, format=name),
        files=tuple(files),
        left_out=tuple(file.name for file in found if file.name not in read),
        configs=configs,
        labels=labels,
        meter=Meter(
            total=sum(each.size for file in files for each in (file, *file.beside)),
            limit=unpacking_limit({each.path for file in files for each in (file, *file.beside)}),
        ),
    )


def _by_format(
    files: Sequence[SourceFile], options: ReadOptions, chosen: Sequence[Path]
) -> dict[str, list[SourceFile]]:
    """Group the files by format; files in a folder without a known format are left out.

    In folders, the first file with a suffix decides for all with that suffix.
    """
    pairs = pair_files(files)
    if options.format == "parallel" and not pairs and len(files) > 1:
        pairs = [replace(files[0], beside=tuple(files[1:]))]
    if options.format:
        return {options.format: pairs if options.format == "parallel" and pairs else list(files)}
    groups: dict[str, list[SourceFile]] = {"parallel": pairs} if pairs else {}
    paired = {each.name for pair in pairs for each in (pair, *pair.beside)}
    verdicts = dict[str, str]()
    for file in files:
        if file.name in paired:
            continue
        if file.path in chosen and not file.member:
            groups.setdefault(detect(file, options), []).append(file)
            continue
        if file.suffix not in verdicts:
            try:
                verdicts[file.suffix] = detect(file, options)
            except FormatError:
                verdicts[file.suffix] = ""
        if verdicts[file.suffix]:
            groups.setdefault(verdicts[file.suffix], []).append(file)
    if not groups:
        detect(files[0], options)  # raises an error with the reason
        raise FormatError(files[0].name, 0, "it is empty: choose another folder.")
    return groups


def _most_likely(groups: Mapping[str, Sequence[SourceFile]]) -> str:
    """Return the format of the data, as opposed to a few texts about it, or a few settings beside many texts."""
    counts = {
        name: sum(name != "text" or _DOCUMENTATION.match(file.inner_name) is None for file in files)
        for name, files in groups.items()
    }
    data = max((name for name in counts if name != "text"), key=lambda name: counts[name], default="")
    return "text" if not data or counts.get("text", 0) > 4 * counts[data] else data


def detect(file: SourceFile, options: ReadOptions) -> str:
    """Detect the format of a file, by its suffix and its first lines.

    Raises:
        FormatError: if the format is not supported, with advice.
    """
    for suffixes, what in _REFUSED.items():
        if file.suffix in suffixes:
            raise FormatError(file.name, 0, f"it is {what}.")
    name = next((name for name, known in FORMATS.items() if file.suffix in known.suffixes), "")
    if name == "json":
        if _is_squad(file, options):
            return "squad"
        return "jsonl" if _has_object_lines(file, options) else "json"
    if name and file.suffix != ".txt":
        return name
    sample = [text for _, text in itertools.islice(read_lines(file, options.encoding), _N_SAMPLE)]
    if _has_object_lines(file, options):
        return "jsonl"
    if looks_like_conll(sample):
        return "conll"
    if looks_like_word_tags(sample):
        return "word-tags"
    return "csv" if n_tabs(sample) and len(sample) > 1 else "text"


def _is_squad(file: SourceFile, options: ReadOptions) -> bool:
    """Return whether a JSON file begins like SQuAD's."""
    start = next((text for text in read_chunks(file, options.encoding) if text), "")
    return '"paragraphs"' in start and '"qas"' in start


def _has_object_lines(file: SourceFile, options: ReadOptions) -> bool:
    """Return whether each of the first two lines of a file is an object."""
    lines = [text.strip() for _, text in itertools.islice(read_lines(file, options.encoding), 2)]
    return len(lines) == 2 and all(text.startswith("{") and text.endswith("}") for text in lines)
