"""What all readers give: records, and how a nested one becomes columns."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

Row = dict[str, Any]
"""Column → value: a text, a number, a truth value, None, or a list."""

LANGUAGES = frozenset(
    "ar bg ca cs da de el en es et fa fi fr he hi hr hu id it ja ko lt lv nl no pl pt ro ru sk sl sq sr sv th tr uk "  # noqa: SIM905
    "vi zh".split()
)
"""Codes of languages that name a column, or a file of a pair: “x.en” and “x.fr”."""

_TYPES = frozenset({"str", "int", "float", "bool", "list", "dict", "NoneType"})
MAX_DEPTH = 8
MAX_COLUMNS = 500
"""The most columns of one row, and of all rows of a source together."""
MAX_BAD_ROWS = 1000
"""Rows that cannot be read up to which a source is still taken to be of its format."""

TICK: Row = {}
"""What readers yield (this very object) in place of a row every TICK_LINES lines, so that a file without rows can be
cancelled, too."""
TICK_LINES = 1 << 14

_MAX_SHOWN = 400


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """How files are read, where the guess is wrong or not wanted; "" and None: guessed.

    format: a key of models.importing.formats.registry.FORMATS. encoding: of text files ("latin-1"). delimiter: between
    the cells of a table. header: whether its first line names the columns. unit: of plain texts, what is one row:
    "file", "paragraph" or "line". config: which of a Hugging Face folder's configurations.
    """

    format: str = ""
    encoding: str = ""
    delimiter: str = ""
    header: bool | None = None
    unit: str = ""
    config: str = ""


class BadRow(dict[str, Any]):
    """What readers give in place of a row that cannot be read, where the rows after it can.

    what: what is wrong with it: what follows "FILE, line N:". text: the row as it stands in the file, its beginning if
    it is long.
    """

    def __init__(self, what: str, text: str) -> None:
        super().__init__()
        text = text.rstrip("\r\n")
        self.what, self.text = what, text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 1] + "…"


class BadRecord(NamedTuple):
    """A BadRow with its place, as Record."""

    what: str
    text: str
    file: str
    line: int
    split: str

    @property
    def sentence(self) -> str:
        """Where it is and what is wrong with it."""
        return f"{self.file}, line {self.line}: {self.what}"


class Record(NamedTuple):
    """One row as read. `line`: where it begins in its file, from 1 (of Parquet: the row). `split`: as of SourceFile."""

    values: Row
    file: str
    line: int
    split: str

    @property
    def where(self) -> str:
        """For messages."""
        return f"{self.file}, line {self.line}"


_NUMBER = re.compile(r"\s*[-+]?(\d{1,3}([ ,.]\d{3})+|\d+)?([.,]\d+)?(?<=\d)([eE][-+]?\d+)?%?\s*")


def is_number(text: str) -> bool:
    """Whether a cell is a number as people write it."""
    return _NUMBER.fullmatch(text) is not None


def flatten(value: Mapping[str, Any]) -> Row:
    """An object with objects in it as one row, with dotted columns: {"a": {"b": 1}} → {"a.b": 1}.

    Answers of a question, {"text": […], "answer_start": […]}, stay one column, and so do types of fields, {"a": "str"}.

    Raises:
        ValueError: where it is too deep or has too many columns.
    """
    if len(value) <= MAX_COLUMNS and not any(isinstance(inner, dict) for inner in value.values()):
        return dict(value)
    row: Row = {}
    _flatten_into(row, value, "", 0)
    return row


def _is_one_value(value: Mapping[str, Any]) -> bool:
    """Whether an object is one value: the answers of a question, or the types of another object's fields."""
    return {"text", "answer_start"} <= value.keys() or all(
        isinstance(each, str) and each in _TYPES for each in value.values()
    )


def _flatten_into(row: Row, value: Mapping[str, Any], prefix: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ValueError(f"its objects are nested more than {MAX_DEPTH} deep.")
    for key, inner in value.items():
        if isinstance(inner, dict) and inner and not _is_one_value(inner):
            _flatten_into(row, inner, f"{prefix}{key}.", depth + 1)
        else:
            row[prefix + key] = inner
    if len(row) > MAX_COLUMNS:
        raise ValueError(f"it has more than {MAX_COLUMNS} columns.")
