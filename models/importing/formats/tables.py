"""Tables in text: CSV, TSV, and with semicolons or bars. The delimiter and whether there is a header are guessed from
the first lines.
"""

from __future__ import annotations

import csv
import itertools
import re
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from terrarium.models.importing.formats.files import MAX_LINE_BYTES, FormatError, Meter, SourceFile, read_lines
from terrarium.models.importing.formats.rows import MAX_COLUMNS, TICK, TICK_LINES, BadRow, ReadOptions, Row, is_number
from terrarium.models.number_words import format_few

DELIMITERS = {",": "comma", "\t": "tab", ";": "semicolon", "|": "bar"}

_N_SAMPLE = 50
_MAX_TRIED_AGAIN = 1000
"""Maximum number of lines to read again, after the first, if a quotation mark made them one cell."""
_MAX_ROW_LINES = 1 << 16
_MAX_SHOWN_CELLS, _MAX_SHOWN = 3, 40
_UNCLOSED = (
    "a quotation mark is opened here and never closed: close it, or double the quotation marks within a cell, or leave "
    "the line out."
)
_MISPLACED = (
    "a quotation mark is opened here and not closed, or text follows the one that closes it: close it at the end of "
    "its cell, or double the quotation marks within a cell, or leave the line out."
)
_IDENTIFIER = re.compile(r"[^\W\d][\w .\-/()#]{0,40}")


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """The dialect of a table. `is_quoted`: whether quotation marks around a cell are not part of it."""

    delimiter: str
    is_quoted: bool
    has_header: bool
    columns: tuple[str, ...]


def read_table(file: SourceFile, options: ReadOptions, meter: Meter | None = None) -> Iterator[tuple[int, Row]]:
    """Read the rows of a table with their line numbers; empty cells are None.

    A row with more or fewer cells than columns is a BadRow, and so is one with an unclosed quotation mark.

    Raises:
        FormatError: if an unclosed quotation mark makes very many lines one cell.
    """
    dialect = sniff(file, options)
    rows = _cells(file, options, dialect.delimiter, dialect.is_quoted, meter)
    if dialect.has_header:
        next(row for _, row in rows if isinstance(row, list))
    n = len(dialect.columns)
    for line, row in rows:
        if not isinstance(row, list):
            yield line, row
        elif len(row) != n:
            yield line, BadRow(_wrong_number(row, dialect), dialect.delimiter.join(row))
        else:
            yield line, {name: cell or None for name, cell in zip(dialect.columns, row, strict=True)}


def _wrong_number(cells: Sequence[str], dialect: Dialect) -> str:
    """Describe a row whose number of cells differs from the columns, with advice."""
    columns, missing = dialect.columns, dialect.columns[len(cells) :]
    shown = [f'"{_shortened(cell)}"' for cell in cells[:_MAX_SHOWN_CELLS]]
    more = ", …" if len(cells) > _MAX_SHOWN_CELLS else ""
    named = f": {', '.join(map(_shortened, columns[:10]))}{', …' if len(columns) > 10 else ''}"
    remedy = (
        f"Add the {' and the '.join(map(_shortened, missing[:3]))}"
        if missing
        else f"Put quotation marks around a value that has a {DELIMITERS.get(dialect.delimiter, 'separator')} in it"
    )
    return (
        f"it has {format_few(len(cells), 'value')} ({', '.join(shown)}{more}), but there "
        f"{'is' if len(columns) == 1 else 'are'} {format_few(len(columns), 'column')}{named}. {remedy}, or leave the "
        "line out."
    )


def _shortened(cell: str) -> str:
    text = " ".join(cell.split())
    return text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 1] + "…"


def sniff(file: SourceFile, options: ReadOptions) -> Dialect:
    """Guess the dialect of a table from its first lines.

    Raises:
        FormatError: if it is empty or has only a header, or two columns have the same name.
    """
    sample = [text for _, text in itertools.islice(read_lines(file, options.encoding), 4 * _N_SAMPLE)]
    if not any(text.strip() for text in sample):
        raise FormatError(file.name, 0, "it is empty: choose a file with data in it.")
    delimiter = options.delimiter or _delimiter(sample, file.suffix)
    is_quoted = delimiter != "\t" or any(re.search(r'(^|\t)"[^\t]*"(\t|$)', text.rstrip("\n")) for text in sample)
    found = list(itertools.islice(_cells(file, options, delimiter, is_quoted, None), _N_SAMPLE))
    rows = [row for _, row in found if isinstance(row, list)]
    bad = [(line, row) for line, row in found if isinstance(row, BadRow)]
    if bad and (len(rows) <= 1 or bad[0] is found[0]):
        raise FormatError(file.name, bad[0][0], bad[0][1].what)
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
    """Return the number of tabs per line if all lines have the same number; else 0."""
    counts = {text.count("\t") for text in sample if text.strip()}
    return counts.pop() if len(counts) == 1 else 0


def _delimiter(sample: Sequence[str], suffix: str) -> str:
    """Return the delimiter that splits most lines into equally many cells; a comma if there is only one column."""
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
) -> Iterator[tuple[int, list[str] | Row]]:
    """Yield the cells of each non-blank row, with the line number where it begins; or a BadRow, or TICK.

    A row with a wrong quotation mark has consumed lines that are rows of their own: these are read again.
    """
    if len(delimiter) != 1:
        raise ValueError(f"{delimiter!r} cannot separate the cells of a table: use one character, as , or ;.")
    csv.field_size_limit(MAX_LINE_BYTES)
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if is_quoted else csv.QUOTE_NONE
    lines, again = read_lines(file, options.encoding, meter), deque[tuple[int, str]]()
    taken, size = list[tuple[int, str]](), 0

    def feed() -> Iterator[str]:
        nonlocal size
        while line := again.popleft() if again else next(lines, None):
            taken.append(line)
            size += len(line[1])
            if size > MAX_LINE_BYTES or len(taken) > _MAX_ROW_LINES:
                raise FormatError(file.name, taken[0][0], _UNCLOSED)
            yield line[1]

    while True:
        try:
            for cells in csv.reader(feed(), delimiter=delimiter, quoting=quoting, strict=True):
                if cells:
                    yield taken[0][0], cells
                elif taken[-1][0] % TICK_LINES == 0:
                    yield taken[-1][0], TICK
                taken.clear()
                size = 0
            return
        except csv.Error as error:
            what = _MISPLACED if "expected after" in str(error) else _UNCLOSED
            (line, text), *rest = taken
            if len(rest) > _MAX_TRIED_AGAIN:
                raise FormatError(file.name, line, what) from error
            yield line, BadRow(what, text)
            again.extendleft(reversed(rest))
            taken.clear()
            size = 0


def _is_header(rows: Sequence[Sequence[str]]) -> bool:
    """Return whether the first row has the names of the columns, unlike the cells below."""
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
