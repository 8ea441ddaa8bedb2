"""JSON: one object per line (JSONL), or one array of objects, parsed incrementally."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NoReturn

from terrarium.models.importing.formats.files import (
    MAX_LINE_BYTES,
    FormatError,
    Meter,
    SourceFile,
    read_chunks,
    read_lines,
)
from terrarium.models.importing.formats.rows import MAX_COLUMNS, TICK, TICK_LINES, BadRow, ReadOptions, Row, flatten
from terrarium.models.number_words import format_size

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\r\n]*")

_ARRAYS = ("data", "rows", "examples", "train", "items", "records", "instances", "conversations")
"""Keys of an outer object that may hold the array of rows."""


def read_jsonl(file: SourceFile, options: ReadOptions, meter: Meter | None = None) -> Iterator[tuple[int, Row]]:
    """Read the objects of a JSONL file; blank lines are skipped, and a line that is not a JSON object is a BadRow."""
    for line, text in read_lines(file, options.encoding, meter):
        if line % TICK_LINES == 0:
            yield line, TICK
        if not text.isspace():
            try:
                row = _row(file, line, _loads(file, line, text))
            except FormatError as error:
                row = BadRow(error.what, text)
            yield line, row


def read_json(file: SourceFile, options: ReadOptions, meter: Meter | None = None) -> Iterator[tuple[int, Row]]:
    """Read the objects of the file's array, or of one under a usual key ("data") of its outer object.

    Raises:
        FormatError: if it is not JSON, or has no such array.
    """
    for line, value in json_items(file, options, meter):
        yield line, _row(file, line, value)


def json_items(file: SourceFile, options: ReadOptions, meter: Meter | None = None) -> Iterator[tuple[int, Any]]:
    """Yield the values of a JSON file's array with their first lines; only one value is in memory at a time."""
    scanner = _Scanner(file, options, meter)
    first = scanner.peek()
    if first == "[":
        yield from scanner.items()
    elif first == "{":
        scanner.take()
        n_keys = 0
        while scanner.peek() != "}":
            n_keys += 1
            if n_keys > MAX_COLUMNS:
                scanner.fail(f"an object with more than {MAX_COLUMNS} keys is no list of rows")
            key, _ = scanner.value()
            if scanner.peek() != ":":
                scanner.fail("':' is missing after a key")
            scanner.take()
            if key in _ARRAYS and scanner.peek() == "[":
                yield from scanner.items()
                return
            scanner.value()
            if scanner.peek() == ",":
                scanner.take()
            elif scanner.peek() != "}":
                scanner.fail("',' or '}' is missing")
        raise FormatError(
            file.name, 0, f"it is one object without an array of rows under {', '.join(map(repr, _ARRAYS[:4]))}."
        )
    else:
        raise FormatError(file.name, 1, "it is no JSON: that begins with [ or {.")


class _Scanner:
    """An incremental scanner of JSON text."""

    def __init__(self, file: SourceFile, options: ReadOptions, meter: Meter | None) -> None:
        self._file = file
        self._chunks = read_chunks(file, options.encoding, meter)
        self._text, self._at, self._line = "", 0, 1

    def peek(self) -> str:
        """Return the next character other than white space; FormatError at the end."""
        while True:
            space = _SPACE.match(self._text, self._at)
            assert space is not None
            self._line += self._text.count("\n", *space.span())
            self._at = space.end()
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more(1):
                self.fail("the file ends in the middle")

    def take(self) -> None:
        """Skip the character that `peek` returned."""
        self._at += 1

    def value(self) -> tuple[Any, int]:
        """Return the next value, and the line where it begins."""
        self.peek()
        line, want = self._line, 1 << 16
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except ValueError as error:
                length = getattr(error, "pos", self._at) - self._at
                # Distinguish an error from text that is not yet read completely. A number at the end may also continue.
                if self._more(want):
                    want *= 2
                    continue
                self._line += self._text.count("\n", self._at, self._at + length)
                self.fail(getattr(error, "msg", str(error)))
            except RecursionError:
                self.fail("it is nested too deep")
            if end == len(self._text) and self._more(want):
                continue
            self._line += self._text.count("\n", self._at, end)
            self._at = end
            return value, line

    def items(self) -> Iterator[tuple[int, Any]]:
        """Yield the values of the array that begins next."""
        self.take()
        while self.peek() != "]":
            value, line = self.value()
            yield line, value
            if self.peek() == ",":
                self.take()
                if self.peek() == "]":
                    self.fail("a value is missing after the last comma")
            elif self.peek() != "]":
                self.fail("',' or ']' is missing")

    def fail(self, what: str) -> NoReturn:
        raise FormatError(self._file.name, self._line, f"it is no valid JSON here: {what}.")

    def _more(self, n: int) -> bool:
        """Read about `n` more characters; False at the end."""
        rest = self._text[self._at :]
        if len(rest) > 4 * MAX_LINE_BYTES:
            self.fail(f"one value is larger than {format_size(4 * MAX_LINE_BYTES)}")
        parts, length = [rest], 0
        while length < n:
            text = next(self._chunks, None)
            if text is None:
                break
            parts.append(text)
            length += len(text)
        self._text, self._at = "".join(parts), 0
        return length > 0


def _loads(file: SourceFile, line: int, text: str) -> Any:
    try:
        if text.startswith("{"):  # the usual case, in which json.loads takes half as long again
            value, end = _DECODER.raw_decode(text)
            if text[end:] in ("\n", ""):
                return value
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise FormatError(file.name, line, f"it is no valid JSON ({error.msg}, column {error.colno}).") from error
    except RecursionError:
        raise FormatError(file.name, line, "its JSON is nested too deep.") from None
    except ValueError as error:  # a number with thousands of digits
        raise FormatError(file.name, line, f"it is no valid JSON ({error}).") from error


def _row(file: SourceFile, line: int, value: Any) -> Row:
    if not isinstance(value, dict):
        raise FormatError(file.name, line, f"it is not an object with named columns but {str(value)[:40]!r}.")
    try:
        return flatten(value)
    except ValueError as error:
        raise FormatError(file.name, line, str(error)) from error
