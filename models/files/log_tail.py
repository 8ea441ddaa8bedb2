"""Follows a run's logs while they are being written; each read returns only new rows. No torch import.

Measured on a log of 100,000 rows (28 MB): 0.27 s in blocks, 0.4 s line by line.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from terrarium.models.files.jsonl import Row

_BLOCK = 1 << 18
"""Bytes to parse at a time, which blocks other threads for about 2.5 ms."""
_REMEMBERED = 64
"""Bytes before the current offset, compared to detect that the log was replaced."""


class LogTail:
    """Reads the rows of a growing log, each once; starts over if the log was truncated or replaced."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset, self._lines, self._file, self._last = 0, 0, 0, b""

    def was_replaced(self) -> bool:
        """Return whether the log no longer contains what was read so far, so that `blocks` starts over."""
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

    def skip(self, offset: int, lines: int) -> None:
        """Treat the first `lines` lines, `offset` bytes, as read; ValueError if the log cannot be read."""
        try:
            with self.path.open("rb") as file:
                self._file = os.fstat(file.fileno()).st_ino
                file.seek(max(offset - _REMEMBERED, 0))
                self._last = file.read(min(offset, _REMEMBERED))
        except OSError as error:
            raise ValueError(f"{self.path} cannot be read: {error.strerror}.") from error
        self._offset, self._lines = offset, lines

    def blocks(self) -> Iterator[list[Row]]:
        """Yield the rows appended since the last call, in blocks; an unterminated last line is left for the next call.

        Raises:
            ValueError: if a line is not a JSON object (the message names the file and the line), or on a read error.
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
        """Return the rows appended since the last call (see `blocks`)."""
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
            raise ValueError(f"{self.path} is damaged: line {number} is not a JSON object. Delete that line.")
        return row
