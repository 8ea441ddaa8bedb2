"""Files of any size, written and read in blocks, each with a digest that is verified when the block is first read.

Such a file is never in memory as a whole. No torch import.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, overload

from terrarium.models.number_words import format_size

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

BLOCK_BYTES = 1 << 26
"""The size of a block. A file that fits into one block has only one digest, that of the whole."""

CHUNK_BYTES = 1 << 20
"""Bytes per read."""

_SPARE_SHARE = 0.1
_SPARE_BYTES = 1 << 28

Offsets: TypeAlias = "npt.NDArray[np.int64]"


def check_room(folder: Path, n_bytes: int, what: str) -> None:
    """Raise ValueError unless the disk of `folder` has room for `n_bytes` more, a tenth of that, and _SPARE_BYTES."""
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free, needed = shutil.disk_usage(there).free, int(n_bytes * (1 + _SPARE_SHARE))
    if n_bytes and free < needed + _SPARE_BYTES:
        raise ValueError(
            f"{what} needs {format_size(needed)} on the disk of {folder}, which has {format_size(free)} left: "
            "delete something there, or move the library to another disk."
        )


class BlockWriter:
    """Writes a new file, and computes the digests of its blocks and of the whole file.

    Each full block is flushed to disk, so that closing takes no longer than writing one block.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._pending = bytearray()
        self._whole, self._block = hashlib.sha256(), hashlib.sha256()
        self._free = self.block_bytes = BLOCK_BYTES
        self.block_digests: list[str] = []
        """The SHA-256 of each block; an empty file has one, of no bytes."""
        self.n_bytes = 0

    @property
    def digest(self) -> str:
        """The SHA-256 of the file."""
        return self._whole.hexdigest()

    def write(self, data: bytes) -> None:
        """Append `data`."""
        self._pending += data
        self.n_bytes += len(data)
        if len(self._pending) >= CHUNK_BYTES:
            self._drain()

    def close(self) -> None:
        """Flush the file to disk and close it."""
        self._drain()
        if self._free < self.block_bytes or not self.block_digests:
            self.block_digests.append(self._block.hexdigest())
        self._sync()
        self._file.close()

    def abandon(self) -> None:
        """Close the file without flushing it, because it is about to be deleted."""
        self._file.close()

    def _drain(self) -> None:
        with memoryview(self._pending) as data:
            self._file.write(data)
            self._whole.update(data)
            start = 0
            while len(data) - start >= self._free:
                self._block.update(data[start : start + self._free])
                self.block_digests.append(self._block.hexdigest())
                start, self._free, self._block = start + self._free, self.block_bytes, hashlib.sha256()
                self._sync()
            self._block.update(data[start:])
            self._free -= len(data) - start
        self._pending.clear()

    def _sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())


class BlockFile:
    """Reads parts of a file, verifying the digest of each block before returning data from it.

    digests: of the blocks of `block_bytes`, or one of the whole file if `block_bytes` is None.
    """

    def __init__(self, path: Path, digests: Sequence[str], block_bytes: int | None = None) -> None:
        self.path = path
        try:
            self.size = path.stat().st_size
        except OSError as error:
            raise _unreadable(path, error) from error
        self._digests, self._block_bytes = digests, block_bytes or max(1, self.size)
        self._checked = [False] * len(digests)

    def read(self, start: int, stop: int) -> bytes:
        """Read the bytes from `start` up to `stop` or the end.

        Raises:
            ValueError: if they cannot be read or their block was changed; the message names the file and the position.
        """
        stop = min(stop, self.size)
        for number in range(start // self._block_bytes, max(-(-stop // self._block_bytes), 1)):
            self._check(number)
        try:
            with self.path.open("rb") as file:
                file.seek(start)
                return file.read(max(0, stop - start))
        except OSError as error:
            raise _unreadable(self.path, error) from error

    def chunks(self, start: int = 0) -> Iterator[bytes]:
        """Yield the file from `start` in chunks. Raises like `read`."""
        while start < self.size:
            data = self.read(start, start + CHUNK_BYTES)
            if not data:
                return
            yield data
            start += len(data)

    def lines(self, start: int = 0) -> Iterator[bytes]:
        """Yield the lines from `start`, the offset of a line, without line ends. Raises like `read`."""
        rest = b""
        for chunk in self.chunks(start):
            *whole, rest = (rest + chunk).split(b"\n")
            yield from whole
        if rest:
            yield rest

    def line_offsets(self) -> Offsets:
        """Compute the offsets of the line starts and of the end of the last line: (lines + 1,)."""
        import numpy as np  # imported here, since training a tokenizer does not need it

        found, start = [np.zeros(1, np.int64)], 0
        for chunk in self.chunks():
            found.append(np.flatnonzero(np.frombuffer(chunk, np.uint8) == ord("\n")) + (start + 1))
            start += len(chunk)
        return np.concatenate(found)

    def _check(self, number: int) -> None:
        if number < len(self._checked) and self._checked[number]:
            return
        start = number * self._block_bytes
        found, left = hashlib.sha256(), self._block_bytes
        try:
            with self.path.open("rb") as file:
                file.seek(start)
                while left and (data := file.read(min(left, CHUNK_BYTES))):
                    found.update(data)
                    left -= len(data)
        except OSError as error:
            raise _unreadable(self.path, error) from error
        if number >= len(self._digests) or found.hexdigest() != self._digests[number]:
            where = f" between byte {start:,} and {min(start + self._block_bytes, self.size):,}"
            raise ValueError(
                f"{self.path} was changed{where if len(self._digests) > 1 else ''}, so training cannot resume exactly: "
                "choose the source again."
            )
        self._checked[number] = True


class StoredOffsets:
    """Offsets in a file (int64), read one at a time, so that none are held in memory."""

    def __init__(self, path: Path) -> None:
        self._path, self._n = path, path.stat().st_size // 8

    def __len__(self) -> int:
        return self._n

    def __getitem__(self, index: int) -> int:
        """Read an offset. Raises ValueError if it cannot be read."""
        index = range(self._n)[index]
        try:
            with self._path.open("rb") as file:
                file.seek(8 * index)
                return int.from_bytes(file.read(8), "little", signed=True)
        except OSError as error:
            raise _unreadable(self._path, error) from error


class JsonRows(Sequence[dict[str, Any]]):
    """The rows of a .jsonl file, read lazily; `offsets` as from `BlockFile.line_offsets`."""

    def __init__(self, file: BlockFile, offsets: Offsets | StoredOffsets) -> None:
        self._file, self._offsets = file, offsets

    def __len__(self) -> int:
        return len(self._offsets) - 1

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        """Read a row, or a list of rows; ValueError if the file was changed."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        i = range(len(self))[index]
        return self._parsed(self._file.read(int(self._offsets[i]), int(self._offsets[i + 1])))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return map(self._parsed, self._file.lines())

    def groups(self, first: int = 0, n_bytes: int = CHUNK_BYTES) -> Iterator[list[dict[str, Any]]]:
        """Yield the rows from number `first` on, in lists of rows that take about `n_bytes` of the file."""
        group, size = list[dict[str, Any]](), 0
        for line in self._file.lines(self.offset(first)):
            group.append(self._parsed(line))
            size += len(line)
            if size >= n_bytes:
                yield group
                group, size = [], 0
        if group:
            yield group

    def offset(self, index: int) -> int:
        """Return the offset of a row in the file; for len(rows), the end of the last row."""
        return int(self._offsets[index])

    def _parsed(self, line: bytes) -> dict[str, Any]:
        try:
            row: dict[str, Any] = json.loads(line)
        except ValueError as error:
            raise ValueError(
                f"{self._file.path} is damaged: a row of it is not JSON. Choose the source again."
            ) from error
        return row


def _unreadable(path: Path, error: OSError) -> ValueError:
    return ValueError(f"{path} cannot be read ({error.strerror}): choose the source again.")
