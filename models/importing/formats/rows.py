"""The common output of all readers: records, and the flattening of nested ones into columns."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

Row = dict[str, Any]
"""Column → value: a text, a number, a boolean, None, or a list."""

LANGUAGES = frozenset(
    "ar bg ca cs da de el en es et fa fi fr he hi hr hu id it ja ko lt lv nl no pl pt ro ru sk sl sq sr sv th tr uk "  # noqa: SIM905
    "vi zh".split()
)
"""Language codes that name a column, or a file of a pair: “x.en” and “x.fr”."""

_TYPES = frozenset({"str", "int", "float", "bool", "list", "dict", "NoneType"})
MAX_DEPTH = 8
MAX_COLUMNS = 500
"""Maximum number of columns of one row, and of all rows of a source together."""
MAX_BAD_ROWS = 1000
"""Maximum number of unreadable rows; with more, the file is assumed to have another format."""

TICK: Row = {}
"""The object (compare by identity) that readers yield in place of a row every TICK_LINES lines, so that a file without
rows can also be cancelled."""
TICK_LINES = 1 << 14

_MAX_SHOWN = 400


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """Options for reading files; "" and None mean guessed.

    format: a key of models.importing.formats.registry.FORMATS. encoding: of text files ("latin-1"). delimiter: between
    the cells of a table. header: whether its first line names the columns. unit: what one row of a plain text is:
    "file", "paragraph" or "line". config: a configuration of a Hugging Face folder.
    """

    format: str = ""
    encoding: str = ""
    delimiter: str = ""
    header: bool | None = None
    unit: str = ""
    config: str = ""


class BadRow(dict[str, Any]):
    """A row that cannot be read, although the rows after it can.

    what: the problem, as the text after "FILE, line N:". text: the row as in the file, shortened if it is long.
    """

    def __init__(self, what: str, text: str) -> None:
        super().__init__()
        text = text.rstrip("\r\n")
        self.what, self.text = what, text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 1] + "…"


class BadRecord(NamedTuple):
    """A BadRow with its place, like Record."""

    what: str
    text: str
    file: str
    line: int
    split: str

    @property
    def sentence(self) -> str:
        """Its place and its problem, as a sentence."""
        return f"{self.file}, line {self.line}: {self.what}"


class Record(NamedTuple):
    """One row as read. `line`: where it begins in its file, from 1 (in Parquet, the row). `split`: as in SourceFile."""

    values: Row
    file: str
    line: int
    split: str

    @property
    def where(self) -> str:
        """Its place, for messages."""
        return f"{self.file}, line {self.line}"


_NUMBER = re.compile(r"\s*[-+]?(\d{1,3}([ ,.]\d{3})+|\d+)?([.,]\d+)?(?<=\d)([eE][-+]?\d+)?%?\s*")


def is_number(text: str) -> bool:
    """Return whether a cell is a number as people write it."""
    return _NUMBER.fullmatch(text) is not None


def flatten(value: Mapping[str, Any]) -> Row:
    """Flatten nested objects into one row with dotted columns: {"a": {"b": 1}} → {"a.b": 1}.

    Answers of a question, {"text": […], "answer_start": […]}, stay one column, and so do types of fields, {"a": "str"}.

    Raises:
        ValueError: if it is too deep or has too many columns.
    """
    if len(value) <= MAX_COLUMNS and not any(isinstance(inner, dict) for inner in value.values()):
        return dict(value)
    row: Row = {}
    _flatten_into(row, value, "", 0)
    return row


def _is_one_value(value: Mapping[str, Any]) -> bool:
    """Return whether an object is one value: the answers of a question, or the types of another object's fields."""
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
