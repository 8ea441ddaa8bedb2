"""JSON Lines files that remain readable if the writer is killed at any moment. No torch import."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from terrarium.models.files.atomic import atomic_write_bytes

Row = dict[str, Any]


class JsonLines:
    """Appends rows, each as one write of a whole line; a failed write (disk full) leaves no partial line behind."""

    def __init__(self, path: Path) -> None:
        # A raw descriptor: a buffered file would retry a failed write when it is closed.
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644)

    def append(self, row: Row) -> None:
        """Write one row. NaN and infinity become null."""
        line = (json.dumps(finite(row), ensure_ascii=False, allow_nan=False) + "\n").encode()
        before = os.fstat(self._file).st_size
        try:
            written = os.write(self._file, line)
            if written < len(line):  # the disk is full: writing the rest raises the error
                os.write(self._file, line[written:])
        except OSError:
            if os.fstat(self._file).st_size > before:
                os.ftruncate(self._file, before)
            raise

    def sync(self) -> None:
        """Flush all rows to disk (fsync)."""
        os.fsync(self._file)

    def close(self) -> None:
        os.close(self._file)


def finite(value: Any) -> Any:
    """Replace NaN and infinity by None, and tuples by lists, recursively."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value


def read_rows(path: Path, needed: Mapping[str, type] | None = None) -> list[Row]:
    """Return the rows of a file as a list (see `each_row`)."""
    return list(each_row(path, needed))


def each_row(path: Path, needed: Mapping[str, type] | None = None) -> Iterator[Row]:
    """Yield the rows of a file; a missing file has none, and an unterminated last line is skipped.

    Args:
        needed: the keys that each row must have, with their types.

    Raises:
        ValueError: if a line is not a JSON object or lacks a key; the message names the file and the line.
    """
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    return
                row = parse_row(line)
                if row is None:
                    raise ValueError(f"{path} is damaged: line {number} is not a JSON object. Delete that line.")
                for key, kind in (needed or {}).items():
                    if not isinstance(row.get(key), kind):
                        raise ValueError(
                            f"{path} is damaged: {key} of line {number} is {row.get(key)!r}. Delete that line."
                        )
                yield row
    except FileNotFoundError:
        return
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}.") from error


def cut_rows(path: Path, size: int | None, keep: Callable[[Row], bool]) -> Path | None:
    """Retain only the rows within the first `size` bytes (None = all) for which `keep` is true, by an atomic rewrite.

    Damaged lines are dropped too; then the original file is saved as a backup, and its path is returned.
    """
    if not path.exists():
        return None
    lines = _whole_lines(path, size)
    kept, backup = [], None
    for line in lines:
        row = parse_row(line)
        if row is None and backup is None:
            backup = path.with_name(f"damaged-{path.name}")
            shutil.copyfile(path, backup)
        if row is not None and keep(row):
            kept.append(line + b"\n")
    data = b"".join(kept)
    if len(data) != path.stat().st_size:
        atomic_write_bytes(path, data)
    return backup


def last_row(path: Path, block: int = 8192) -> Row | None:
    """Return the last complete row, or None; reads only the last `block` bytes of the file."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - block))
            tail = file.read()
    except OSError:
        return None
    for line in reversed(tail[: tail.rfind(b"\n") + 1].splitlines()):
        row = parse_row(line)
        if row is not None:
            return row
    return None


def _whole_lines(path: Path, size: int | None = None) -> list[bytes]:
    try:
        data = path.read_bytes()[:size]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}.") from error
    return data[: data.rfind(b"\n") + 1].split(b"\n")[:-1]


def parse_row(line: bytes) -> Row | None:
    """Parse a line as a JSON object, or return None."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None
