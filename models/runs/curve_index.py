"""An index of a run's curve in one small file, to draw a long log without reading it. No torch import.

curve.sqlite, beside metrics.jsonl, is made of nothing but that log, and can be deleted at any time. Of every 128
training rows it has a block: the points that show its shape (models.runs.curve); four blocks make one of the next
level, and so on. It also has each validation, as it stands in the log. What the log has after the last block is read
from there. Whoever writes or reads a long run adds the blocks that are missing.
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
"""Bytes of a log that are indexed at once, in half a second, before one looks how far it is."""
BLOCK_ROWS = 128
"""Training rows of a block of level 0."""
_FACTOR = 4
_MOST_BLOCKS = 2048
"""A part is read in blocks of the lowest level at which it has no more than these."""
_MOST_ROWS = 1 << 16
"""A part of no more rows than this is read from the log, row by row."""
_PIECE = 1 << 18
"""Bytes that are parsed at once, which blocks other threads for about 2.5 ms."""
LONG = 32 << 20
"""Bytes of a log that is worth an index; shorter ones are read whole."""
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
    """What is known of a log up to the byte `ends` and the line `lines`.

    points: (POINT_COLUMNS, n); validations: rows of the log. is_behind: the log has more whole blocks.
    """

    points: Floats
    validations: list[Row]
    ends: int
    lines: int
    is_behind: bool


_NOTHING = np.empty((len(POINT_COLUMNS), 0))
NO_CURVE = IndexedCurve(_NOTHING, [], 0, 0, is_behind=False)

"""Of a short log, which is read whole."""


class CurveIndex:
    """The curve of the run in `folder`; used by one thread at a time, but by any number of processes.

    A block is a function of the log's bytes, and blocks are added in a transaction that begins by comparing the last
    one with the log; so it does not matter who adds them, nor when he is killed.
    """

    def __init__(self, folder: Path) -> None:
        self._log, self._file = folder / "metrics.jsonl", folder / "curve.sqlite"
        self._in_memory: sqlite3.Connection | None = None

    def extend(self, most_bytes: int) -> None:
        """Drop what no longer fits the log, and add the blocks of about so many bytes of it, if that can be written."""
        with contextlib.suppress(sqlite3.Error, OSError), self._log.open("rb") as log:
            if _size(log) >= LONG:
                with contextlib.closing(_connect(str(self._file))) as db:
                    _extend(db, log, most_bytes)

    def read(self, most_bytes: int) -> IndexedCurve:
        """The curve as far as it is known, after the blocks of about so many bytes were added.

        Raises:
            ValueError: where the log cannot be read.
        """
        return self._use(lambda db, log: _read(db, log, is_behind=_extend(db, log, most_bytes)), NO_CURVE)

    def part(self, first_step: float, last_step: float) -> Floats:
        """The points (POINT_COLUMNS, n) of the blocks that have these steps: all rows, unless they are many.

        Raises:
            ValueError: where the log cannot be read.
        """
        return self._use(lambda db, log: _part(db, log, first_step, last_step), _NOTHING)

    def _use(self, use: Callable[[sqlite3.Connection, BinaryIO], T], nothing: T) -> T:
        """`use` the file, or where that is impossible an index in memory; `nothing` for a short log."""
        try:
            with self._log.open("rb") as log:
                if _size(log) < LONG:
                    return nothing
                if self._in_memory is None:
                    try:
                        with contextlib.closing(_connect(str(self._file))) as db:
                            return use(db, log)
                    except sqlite3.Error as error:
                        if not isinstance(error, sqlite3.OperationalError):  # damaged: the next one makes it anew
                            with contextlib.suppress(OSError):
                                self._file.unlink()
                    self._in_memory = _connect(":memory:")
                return use(self._in_memory, log)
        except FileNotFoundError:
            return nothing
        except OSError as error:
            raise ValueError(f"{self._log} cannot be read: {error.strerror}.") from error


class _Last(NamedTuple):
    """The last block of level 0, or another."""

    number: int
    begins: int
    ends: int
    lines: int
    crc: int


def _connect(name: str) -> sqlite3.Connection:
    db = sqlite3.connect(name, timeout=0.2, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA synchronous = OFF")  # it can be made anew
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
    """The block of level 0 that has a step, or comes after it; None beyond the last one."""
    return _one(db, "level = 0 AND last_step >= ? ORDER BY last_step, number", step)


def _one(db: sqlite3.Connection, where: str, *values: float) -> _Last | None:
    row = db.execute(f"SELECT number, begins, ends, lines, crc FROM block WHERE {where} LIMIT 1", values).fetchone()
    return None if row is None else _Last(*row)


def _points_of(db: sqlite3.Connection, first: int, end: int) -> Floats:
    """The points of the blocks [first, end) of level 0, of which blocks of higher levels stand for most if there are
    many."""
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
    """Add blocks; whether the log has more of them."""
    try:
        db.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:  # another process adds them
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
        if None in rows:  # damaged: whoever reads the log from here on says so
            return False
        at += len(lines)
        if at >= stop and block.number > first:
            return at < _size(log)
    return False


def _last_fitting(db: sqlite3.Connection, log: BinaryIO) -> _Last | None:
    """The last block, after those were deleted that do not fit the log: a resume cut it, or it is another one."""
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
    """A block of level 0 in the making, of the rows that begin at a byte of the log, after so many lines."""

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
        """Add it with its points, and the blocks of higher levels that it completes."""
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
    """ "train" or "val"; "" for a row without a step or of another kind."""
    kind = row.get("kind")
    return kind if kind in ("train", "val") and isinstance(row.get("step"), int) else ""


def _lines_at(log: BinaryIO, at: int, most: int) -> bytes:
    """The whole lines from a byte on; b"" where there is none."""
    n = most
    while True:
        log.seek(at)
        data = log.read(n)
        lines = data[: data.rfind(b"\n") + 1]
        if lines or len(data) < n:
            return lines
        n *= 2  # a line longer than that


def _rows_of(lines: bytes) -> list[Row | None]:
    """The object of each line; None for a damaged one."""
    try:
        rows: list[Row | None] = json.loads(b"[" + lines[:-1].replace(b"\n", b",") + b"]")
    except (ValueError, RecursionError):
        rows = []
    if len(rows) == lines.count(b"\n") and all(isinstance(row, dict) for row in rows):
        return rows
    return [parse_row(line) for line in lines[:-1].split(b"\n")]
