"""Per-row numbers of a source, in temporary files: only a part is in memory, however many rows there are."""

from __future__ import annotations

import tempfile
import weakref
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import numpy.typing as npt

CHUNK_ROWS = 1 << 16
"""Rows per read."""
BUCKET_ROWS = 1 << 17
"""Approximate number of rows that are compared with each other at a time."""

_SMALL_BYTES = 1 << 18

Values = npt.NDArray[Any]
Rows = npt.NDArray[np.int64]
"""Indices of rows, in ascending order."""
Mask = npt.NDArray[np.bool_]


class Column:
    """A number for each row: appended one by one, then read in parts. Its temporary file, in `folder`, goes with it."""

    def __init__(self, dtype: npt.DTypeLike, folder: Path) -> None:
        self.dtype = np.dtype(dtype)
        file = tempfile.SpooledTemporaryFile(_SMALL_BYTES, dir=str(folder))  # noqa: SIM115
        self._file = cast(IO[bytes], file)
        self._pending, self._n = array(self.dtype.char), 0
        weakref.finalize(self, file.close)

    def __len__(self) -> int:
        return self._n

    def append(self, value: int) -> None:
        """Append the number of the next row."""
        self._pending.append(value)
        self._n += 1
        if len(self._pending) == CHUNK_ROWS:
            self._flush()

    def read(self, start: int, stop: int) -> Values:
        """Return the numbers of rows `start` to `stop` (exclusive)."""
        self._flush()
        self._file.seek(start * self.dtype.itemsize)
        return np.frombuffer(self._file.read((stop - start) * self.dtype.itemsize), self.dtype)

    def _flush(self) -> None:
        self._file.seek(0, 2)
        self._file.write(self._pending.tobytes())
        del self._pending[:]


def parts(*columns: Column) -> Iterator[tuple[int, list[Values]]]:
    """Yield the columns side by side in parts, each with the index of its first row."""
    n = len(columns[0])
    for start in range(0, n, CHUNK_ROWS):
        yield start, [column.read(start, min(start + CHUNK_ROWS, n)) for column in columns]


def where(test: Callable[..., Mask], *columns: Column) -> Rows:
    """Return the rows that pass a test, which is called with a part of each column."""
    found = [np.flatnonzero(test(*values)) + start for start, values in parts(*columns)]
    return np.concatenate([np.zeros(0, np.int64), *found])


def buckets(
    keys: Callable[[Rows, Values], Values], chosen: Callable[[int, int], Mask], *columns: Column
) -> Iterator[tuple[Rows, list[Values]]]:
    """Yield the chosen rows in groups, in the order of their keys: rows with the same key are in one group.

    keys: returns the keys (uint64, evenly distributed) of rows, given their indices and their numbers in the first
    column. chosen: which of the rows `start` to `stop` to include. Yields the rows of a group, their keys, and their
    numbers in each column.
    """
    bits = max(0, (len(columns[0]) // BUCKET_ROWS).bit_length())
    for bucket in range(1 << bits):
        rows, found = [np.zeros(0, np.int64)], [[np.zeros(0, column.dtype)] for column in columns]
        of_rows = [np.zeros(0, np.uint64)]
        for start, values in parts(*columns):
            at = np.flatnonzero(chosen(start, start + len(values[0])))
            key = keys(at + start, values[0][at])
            if bits:
                inside = key >> np.uint64(64 - bits) == bucket
                at, key = at[inside], key[inside]
            rows.append(at + start)
            of_rows.append(key)
            for column, part in zip(found, values, strict=True):
                column.append(part[at])
        yield np.concatenate(rows), [np.concatenate(of_rows), *(np.concatenate(column) for column in found)]
