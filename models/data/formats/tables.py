"""Tables in text: CSV, TSV, and with semicolons or bars. What separates the cells and whether there is a header is
guessed from the first lines.
"""

from __future__ import annotations

import csv
import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from models.data.formats.files import MAX_LINE_BYTES, FormatError, Meter, SourceFile, read_lines
from models.data.formats.rows import MAX_COLUMNS, ReadOptions, Row, is_number
from models.number_words import format_count

DELIMITERS = {",": "comma", "\t": "tab", ";": "semicolon", "|": "bar"}

_N_SAMPLE = 50
_IDENTIFIER = re.compile(r"[^\W\d][\w .\-/()#]{0,40}")


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """How a table is written. `is_quoted`: whether quotation marks around a cell are not part of it."""

    delimiter: str
    is_quoted: bool
    has_header: bool
    columns: tuple[str, ...]


def read_table(file: SourceFile, options: ReadOptions, meter: Meter | None = None) -> Iterator[tuple[int, Row]]:
    """The rows of a table with the numbers of their lines; empty cells are None.

    Raises:
        FormatError: for a row with more or fewer cells than the first, or a quotation mark that is not closed.
    """
    dialect = sniff(file, options)
    rows = _cells(file, options, dialect.delimiter, dialect.is_quoted, meter)
    if dialect.has_header:
        next(rows)
    n = len(dialect.columns)
    for line, cells in rows:
        if len(cells) != n:
            raise FormatError(
                file.name,
                line,
                f"{format_count(len(cells), 'cell')} separated by {DELIMITERS.get(dialect.delimiter, 'it')}s, but "
                f"{format_count(n, 'column')} in the first line: correct it, or put its cell in quotation marks.",
            )
        yield line, {name: cell or None for name, cell in zip(dialect.columns, cells, strict=True)}


def sniff(file: SourceFile, options: ReadOptions) -> Dialect:
    """How the table is written, from its first lines.

    Raises:
        FormatError: where it is empty or has only a header, or that names two columns alike.
    """
    sample = [text for _, text in itertools.islice(read_lines(file, options.encoding), 4 * _N_SAMPLE)]
    if not any(text.strip() for text in sample):
        raise FormatError(file.name, 0, "it is empty: choose a file with data in it.")
    delimiter = options.delimiter or _delimiter(sample, file.suffix)
    is_quoted = delimiter != "\t" or any(re.search(r'(^|\t)"[^\t]*"(\t|$)', text.rstrip("\n")) for text in sample)
    rows = [cells for _, cells in itertools.islice(_cells(file, options, delimiter, is_quoted, None), _N_SAMPLE)]
    if len(rows[0]) > MAX_COLUMNS:
        raise FormatError(file.name, 1, f"it has more than {MAX_COLUMNS} columns: is this a table?")
    has_header = _is_header(rows) if options.header is None else options.header
    if not has_header:
        return Dialect(
            delimiter=delimiter,
            is_quoted=is_quoted,
            has_header=False,
            columns=tuple(f"column{index}" for index in range(1, len(rows[0]) + 1)),
        )
    columns = tuple(cell.strip() or f"column{index}" for index, cell in enumerate(rows[0], 1))
    twice = [name for name, n in Counter(columns).items() if n > 1]
    if twice:
        raise FormatError(file.name, 1, f"two columns are called {twice[0]!r}: rename one.")
    if len(rows) == 1:
        raise FormatError(file.name, 1, "it names columns, but no rows follow: choose a file with data in it.")
    return Dialect(delimiter=delimiter, is_quoted=is_quoted, has_header=True, columns=columns)


def n_tabs(sample: Sequence[str]) -> int:
    """How many tabs every line of a text has, if each has as many; else 0."""
    counts = {text.count("\t") for text in sample if text.strip()}
    return counts.pop() if len(counts) == 1 else 0


def _delimiter(sample: Sequence[str], suffix: str) -> str:
    """The one that cuts most lines into equally many cells; a comma where there is only one column."""
    if suffix in (".tsv", ".tab"):
        return "\t"
    scores = {}
    for delimiter in DELIMITERS:
        try:
            counts = [len(cells) for cells in csv.reader(sample, delimiter=delimiter) if cells]
        except csv.Error:
            continue
        n, times = Counter(counts).most_common(1)[0] if counts else (1, 0)
        scores[delimiter] = (times / max(len(counts), 1), n) if n > 1 else (0.0, 1)
    return max(scores, key=lambda delimiter: scores[delimiter], default=",")


def _cells(
    file: SourceFile, options: ReadOptions, delimiter: str, is_quoted: bool, meter: Meter | None
) -> Iterator[tuple[int, list[str]]]:
    """The cells of each row that is not blank, with the number of the line where it begins."""
    began = 1
    if len(delimiter) != 1:
        raise ValueError(f"{delimiter!r} cannot separate the cells of a table: use one character, as , or ;.")
    csv.field_size_limit(MAX_LINE_BYTES)
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if is_quoted else csv.QUOTE_NONE
    lines = (text for _, text in read_lines(file, options.encoding, meter))
    reader = csv.reader(lines, delimiter=delimiter, quoting=quoting, strict=True)
    try:
        for cells in reader:
            if cells:
                yield began, cells
            began = reader.line_num + 1
    except csv.Error as error:
        what = str(error)
        if "unexpected end" in what or "field larger" in what:
            what = "a quotation mark is opened here and never closed: close it, or double it."
        elif "expected after" in what:
            what = "text follows a closing quotation mark: double the quotation marks within a cell."
        raise FormatError(file.name, began, what) from error


def _is_header(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row names the columns: names, unlike what stands below them, if anything does."""
    first, below = rows[0], [row for row in rows[1:] if len(row) == len(rows[0])]
    names = [cell.strip() for cell in first]
    if (
        (len(rows) > 1 and not below)
        or any(not _IDENTIFIER.fullmatch(name) for name in names)
        or len(set(names)) < len(names)
    ):
        return False
    for index, name in enumerate(names):
        cells = [row[index].strip() for row in below]
        if name in cells:
            return False
        if all(is_number(cell) for cell in cells if cell) and any(cells):
            return True
    return all(len(name.split()) <= 3 for name in names)
