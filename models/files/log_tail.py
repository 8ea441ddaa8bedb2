"""Logs of a run that are still being written: read once, then only what was appended. No torch import.

Measured on a log of 100,000 rows (28 MB): 0.27 s in blocks, 0.4 s line by line.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from models.files.jsonl import Row

_BLOCK = 1 << 18
"""Bytes that are parsed at once. Other threads wait meanwhile: for about 2.5 ms."""
_REMEMBERED = 64
"""Bytes before the place read up to, by which a log is known again."""


class LogTail:
    """Reads the rows of a log that grows, each once; from its beginning again where the log was cut or replaced."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset, self._lines, self._file, self._last = 0, 0, 0, b""

    def was_replaced(self) -> bool:
        """Whether what was read so far is no longer what the log begins with: `blocks` then reads all of it again."""
        if not self._offset:
            return False
        try:
            with self.path.open("rb") as file:
                if os.fstat(file.fileno()).st_ino != self._file:
                    return True
                file.seek(self._offset - len(self._last))
                return file.read(len(self._last)) != self._last
        except FileNotFoundError:
            return True
        except OSError as error:
            raise ValueError(f"{self.path} cannot be read: {error.strerror}.") from error

    def blocks(self) -> Iterator[list[Row]]:
        """The rows that were appended since the last call, some at a time; an unterminated last line is left for later.

        Raises:
            ValueError: where a line is no JSON object, naming the file and the line, or the file cannot be read.
        """
        if self.was_replaced():
            self._offset, self._lines, self._last = 0, 0, b""
        try:
            with self.path.open("rb") as file:
                self._file = os.fstat(file.fileno()).st_ino
                file.seek(self._offset)
                yield from self._read(file.read)
        except FileNotFoundError:
            return
        except OSError as error:
            raise ValueError(f"{self.path} cannot be read: {error.strerror}.") from error

    def rows(self) -> list[Row]:
        """All that `blocks` yields."""
        return [row for block in self.blocks() for row in block]

    def _read(self, read: Callable[[int], bytes]) -> Iterator[list[Row]]:
        rest = b""
        while data := read(_BLOCK):
            whole, newline, after = data.rpartition(b"\n")
            if not newline:
                rest += data
                continue
            data, rest = rest + whole + newline, after
            rows = self._parse(data)
            self._offset += len(data)
            self._lines += len(rows)
            self._last = (self._last + data)[-_REMEMBERED:]
            yield rows

    def _parse(self, data: bytes) -> list[Row]:
        lines = data.count(b"\n")
        try:
            rows: list[Row] = json.loads(b"[" + data[:-1].replace(b"\n", b",") + b"]")
        except (ValueError, RecursionError):
            rows = []
        if len(rows) == lines and all(isinstance(row, dict) for row in rows):
            return rows
        return [self._row(line, n) for n, line in enumerate(data[:-1].split(b"\n"), start=self._lines + 1)]

    def _row(self, line: bytes, number: int) -> Row:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            raise ValueError(f"{self.path} is damaged: line {number} is not a JSON object. Take that line out.")
        return row
