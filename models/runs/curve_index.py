"""An index of a run's curves in one small file, to draw a long log without reading it. No torch import.

curve.sqlite, beside metrics.jsonl, is derived from that log alone, and can be deleted at any time. Every 128 training
rows are a block: the points that show their shape (models.runs.curve). Four blocks are merged into one of the next
level, and so on. Validations are stored as they are in the log. Rows after the last block are read from the log. Any
process that writes or reads a long run adds the missing blocks.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeVar

import numpy as np

from terrarium.models.files.jsonl import Row, parse_row
from terrarium.models.runs.curve import POINT_COLUMNS, Floats, points_of_rows, thin_each

T = TypeVar("T")

AT_ONCE = 32 << 20
"""Bytes of a log to index per call, which takes half a second; callers may report progress in between."""
BLOCK_ROWS = 128
"""Training rows of a block of level 0."""
_FACTOR = 4
_MOST_BLOCKS = 2048
"""Maximum number of blocks to read; it decides the level of the blocks that a range is read at."""
_MOST_ROWS = 1 << 16
"""Maximum number of rows of a range to be read from the log, row by row."""
_PIECE = 1 << 18
"""Bytes to parse at a time, which blocks other threads for about 2.5 ms."""
LONG = 32 << 20
"""Minimum size in bytes of a log that is indexed; shorter logs are read completely."""
_VERSION = 1

_SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS block (
    level INTEGER, number INTEGER, first_step INTEGER, last_step INTEGER,
    begins INTEGER, ends INTEGER, lines INTEGER, crc INTEGER, points BLOB,
    PRIMARY KEY (level, number)
);
CREATE INDEX IF NOT EXISTS block_of_step ON block (level, last_step);
CREATE TABLE IF NOT EXISTS validation (begins INTEGER PRIMARY KEY, row BLOB);
PRAGMA user_version = {_VERSION};
COMMIT;
"""


@dataclass(frozen=True, eq=False)
class IndexedCurve:
    """The indexed part of a log, up to the byte `ends` and the line `lines`.

    points: (POINT_COLUMNS, n). validations: rows of the log. is_behind: whether the log has further complete blocks.
    """

    points: Floats
    validations: list[Row]
    ends: int
    lines: int
    is_behind: bool


_NOTHING = np.empty((len(POINT_COLUMNS), 0))
NO_CURVE = IndexedCurve(_NOTHING, [], 0, 0, is_behind=False)
"""The result for a short log, which is not indexed."""


class CurveIndex:
    """The curve index of the run in `folder`; used by one thread at a time, but by any number of processes.

    A block is a function of the log's bytes, and blocks are added in a transaction that first compares the last block
    with the log; so any process can add them, and can be killed at any moment.
    """

    def __init__(self, folder: Path) -> None:
        self._log, self._file = folder / "metrics.jsonl", folder / "curve.sqlite"
        self._in_memory: sqlite3.Connection | None = None

    def extend(self, most_bytes: int) -> None:
        """Drop the blocks that no longer match the log, and index about `most_bytes` more of it.

        Does nothing for a short log, or if the index cannot be written.
        """
        with contextlib.suppress(sqlite3.Error, OSError), self._log.open("rb") as log:
            if _size(log) >= LONG:
                with contextlib.closing(_connect(str(self._file))) as db:
                    _extend(db, log, most_bytes)

    def read(self, most_bytes: int) -> IndexedCurve:
        """Index about `most_bytes` more of the log, and return the indexed part of the curve.

        Raises:
            ValueError: if the log cannot be read.
        """
        return self._use(lambda db, log: _read(db, log, is_behind=_extend(db, log, most_bytes)), NO_CURVE)

    def part(self, first_step: float, last_step: float) -> Floats:
        """Return the points (POINT_COLUMNS, n) of the blocks with these steps: a point per row, unless there are many.

        Raises:
            ValueError: if the log cannot be read.
        """
        return self._use(lambda db, log: _part(db, log, first_step, last_step), _NOTHING)

    def _use(self, use: Callable[[sqlite3.Connection, BinaryIO], T], nothing: T) -> T:
        """Call `use` with the index file, or an index in memory if that fails; return `nothing` for a short log."""
        try:
            with self._log.open("rb") as log:
                if _size(log) < LONG:
                    return nothing
                if self._in_memory is None:
                    try:
                        with contextlib.closing(_connect(str(self._file))) as db:
                            return use(db, log)
                    except sqlite3.Error as error:
                        if not isinstance(error, sqlite3.OperationalError):  # damaged: recreated by the next process
                            with contextlib.suppress(OSError):
                                self._file.unlink()
                    self._in_memory = _connect(":memory:")
                return use(self._in_memory, log)
        except FileNotFoundError:
            return nothing
        except OSError as error:
            raise ValueError(f"{self._log} cannot be read: {error.strerror}.") from error


class _Last(NamedTuple):
    """A block of level 0, mostly the last one: its number, and its range of bytes and lines in the log."""

    number: int
    begins: int
    ends: int
    lines: int
    crc: int


def _connect(name: str) -> sqlite3.Connection:
    db = sqlite3.connect(name, timeout=0.2, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA synchronous = OFF")  # a lost index can be rebuilt
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if not version:
            db.executescript(_SCHEMA)
        elif version != _VERSION:
            raise sqlite3.DatabaseError(f"{name} has version {version}.")
    except sqlite3.Error:
        db.close()
        raise
    return db


def _size(log: BinaryIO) -> int:
    return os.fstat(log.fileno()).st_size


# -- Reading ----------------------------------------------------------------------------------------------


def _read(db: sqlite3.Connection, log: BinaryIO, *, is_behind: bool) -> IndexedCurve:
    last = _last_block(db)
    if last is None:
        return IndexedCurve(_NOTHING, [], 0, 0, is_behind)
    rows = [row for (line,) in db.execute("SELECT row FROM validation ORDER BY begins") if (row := parse_row(line))]
    return IndexedCurve(_points_of(db, 0, last.number + 1), rows, last.ends, last.lines, is_behind)


def _part(db: sqlite3.Connection, log: BinaryIO, first_step: float, last_step: float) -> Floats:
    first, last = _block_of(db, first_step), _block_of(db, last_step) or _last_block(db)
    if first is None or last is None:
        return _NOTHING
    if (last.number + 1 - first.number) * BLOCK_ROWS > _MOST_ROWS:
        return _points_of(db, first.number, last.number + 1)
    pieces, at = [_NOTHING], first.begins
    while at < last.ends and (lines := _lines_at(log, at, last.ends - at)):
        pieces.append(points_of_rows([row for row in _rows_of(lines) if row and _kind(row) == "train"]))
        at += len(lines)
    return np.concatenate(pieces, axis=1)


def _last_block(db: sqlite3.Connection) -> _Last | None:
    return _one(db, "level = 0 ORDER BY number DESC")


def _block_of(db: sqlite3.Connection, step: float) -> _Last | None:
    """Return the block of level 0 that contains a step, or the next one; None after the last block."""
    return _one(db, "level = 0 AND last_step >= ? ORDER BY last_step, number", step)


def _one(db: sqlite3.Connection, where: str, *values: float) -> _Last | None:
    row = db.execute(f"SELECT number, begins, ends, lines, crc FROM block WHERE {where} LIMIT 1", values).fetchone()
    return None if row is None else _Last(*row)


def _points_of(db: sqlite3.Connection, first: int, end: int) -> Floats:
    """Return the points of the blocks [first, end) of level 0; if there are many, mostly those of higher levels."""
    level = 0
    while (end - first) > _MOST_BLOCKS * _FACTOR**level:
        level += 1
    return np.concatenate([_NOTHING, *_covering(db, level, first, end)], axis=1)


def _covering(db: sqlite3.Connection, level: int, first: int, end: int) -> list[Floats]:
    n = _FACTOR**level
    of_level, end_of_level = -(-first // n), end // n
    if first >= end:
        return []
    if of_level >= end_of_level:
        return _covering(db, level - 1, first, end)
    return [
        *_covering(db, level - 1, first, of_level * n),
        *_blobs(db, level, of_level, end_of_level),
        *_covering(db, level - 1, end_of_level * n, end),
    ]


def _blobs(db: sqlite3.Connection, level: int, first: int, end: int) -> list[Floats]:
    found = db.execute(
        "SELECT points FROM block WHERE level = ? AND number >= ? AND number < ? ORDER BY number", (level, first, end)
    )
    return [np.frombuffer(blob).reshape(len(POINT_COLUMNS), -1) for (blob,) in found]


# -- Adding blocks ----------------------------------------------------------------------------------------


def _extend(db: sqlite3.Connection, log: BinaryIO, most_bytes: int) -> bool:
    """Add blocks in a transaction; return whether the log has further complete blocks."""
    try:
        db.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:  # another process is adding them
        return False
    try:
        is_behind = _add_blocks(db, log, most_bytes)
        db.execute("COMMIT")
    except BaseException:
        db.rollback()
        raise
    return is_behind


def _add_blocks(db: sqlite3.Connection, log: BinaryIO, most_bytes: int) -> bool:
    last = _last_fitting(db, log)
    block = _Block(0, 0, 0) if last is None else _Block(last.number + 1, last.ends, last.lines)
    first, at = block.number, block.begins
    stop = at + most_bytes
    while lines := _lines_at(log, at, _PIECE):
        rows, whole = _rows_of(lines), []
        for line, row in zip(lines.split(b"\n"), rows, strict=False):
            if row is None:
                break
            block.take(line + b"\n", row)
            if len(block.rows) == BLOCK_ROWS:
                whole.append(block)
                block = _Block(block.number + 1, block.ends, block.lines)
        for each, points in zip(whole, thin_each([points_of_rows(each.rows) for each in whole]), strict=True):
            each.write(db, points)
        if None in rows:  # a damaged line, which is reported when the log is read from here on
            return False
        at += len(lines)
        if at >= stop and block.number > first:
            return at < _size(log)
    return False


def _last_fitting(db: sqlite3.Connection, log: BinaryIO) -> _Last | None:
    """Delete the blocks that do not match the log (cut by a resume, or replaced), and return the last of the rest."""
    while (last := _last_block(db)) is not None:
        size, keep = _size(log), 0
        if last.ends <= size:
            log.seek(last.begins)
            if zlib.crc32(log.read(last.ends - last.begins)) == last.crc:
                break
        else:
            keep = size
        db.execute("DELETE FROM block WHERE ends > ?", (keep,))
        db.execute("DELETE FROM validation WHERE begins >= (SELECT ifnull(max(ends), 0) FROM block WHERE level = 0)")
    return last


class _Block:
    """A block of level 0 under construction, of the rows from byte `begins` of the log on, after `lines` lines."""

    def __init__(self, number: int, begins: int, lines: int) -> None:
        self.number, self.begins, self.ends, self.lines = number, begins, begins, lines
        self.rows: list[Row] = []
        self._validations: list[tuple[int, bytes]] = []
        self._crc = 0

    def take(self, line: bytes, row: Row) -> None:
        kind = _kind(row)
        if kind == "train":
            self.rows.append(row)
        elif kind == "val":
            self._validations.append((self.ends, line))
        self._crc = zlib.crc32(line, self._crc)
        self.ends += len(line)
        self.lines += 1

    def write(self, db: sqlite3.Connection, points: Floats) -> None:
        """Insert the block with its points, and the blocks of higher levels that it completes."""
        db.executemany("INSERT INTO validation VALUES (?, ?)", self._validations)
        first, last = self.rows[0]["step"], self.rows[-1]["step"]
        self._insert(db, (0, self.number, first, last, self.begins, self.ends, self.lines, self._crc), points)
        level, n = 0, self.number + 1
        while n % _FACTOR == 0:
            (points,) = thin_each([np.concatenate(_blobs(db, level, n - _FACTOR, n), axis=1)])
            (first, begins) = db.execute(
                "SELECT first_step, begins FROM block WHERE level = ? AND number = ?", (level, n - _FACTOR)
            ).fetchone()
            level, n = level + 1, n // _FACTOR
            self._insert(db, (level, n - 1, first, last, begins, self.ends, self.lines, 0), points)

    def _insert(self, db: sqlite3.Connection, values: tuple[int, ...], points: Floats) -> None:
        blob = np.ascontiguousarray(points).tobytes()
        db.execute("INSERT INTO block VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (*values, blob))


def _kind(row: Row) -> str:
    """Return "train" or "val", or "" for a row without a step or of another kind."""
    kind = row.get("kind")
    return kind if kind in ("train", "val") and isinstance(row.get("step"), int) else ""


def _lines_at(log: BinaryIO, at: int, most: int) -> bytes:
    """Return complete lines from byte `at` on, about `most` bytes or at least one line; b"" at the end."""
    n = most
    while True:
        log.seek(at)
        data = log.read(n)
        lines = data[: data.rfind(b"\n") + 1]
        if lines or len(data) < n:
            return lines
        n *= 2  # a line longer than that


def _rows_of(lines: bytes) -> list[Row | None]:
    """Return the object of each line; None for a damaged one."""
    try:
        rows: list[Row | None] = json.loads(b"[" + lines[:-1].replace(b"\n", b",") + b"]")
    except (ValueError, RecursionError):
        rows = []
    if len(rows) == lines.count(b"\n") and all(isinstance(row, dict) for row in rows):
        return rows
    return [parse_row(line) for line in lines[:-1].split(b"\n")]
