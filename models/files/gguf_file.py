"""Reads the metadata and tensors of a GGUF file (github.com/ggml-org/ggml/blob/master/docs/gguf.md).

The `gguf` package's own reader makes several numpy arrays for each token of the vocabulary, which takes seconds and
blocks the window; only its constants and its dequantisation are used here.
"""

from __future__ import annotations

import dataclasses
import mmap
import struct
from collections.abc import Generator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGML_QUANT_SIZES, GGUF_MAGIC, GGMLQuantizationType, GGUFValueType, quants
from gguf.quants import QuantError

from terrarium.models.files.atomic import DamagedError
from terrarium.models.files.limits import check_disjoint

_BLOCK_BYTES = 1 << 21
"""Bytes to dequantise at a time, which takes about 10 ms."""

_MAX_HEADER_BYTES, _MAX_TENSORS = 32 << 20, 1 << 16
"""Limits; headers of models with 250,000 tokens have about 10 MB, and much longer ones would take seconds to read."""

_MAX_KEYS, _MAX_ITEMS = 1 << 12, 1 << 21
"""Limits; the arrays of such models have 1.3 million items in total, under about fifty keys."""

_SCALARS = {
    GGUFValueType.UINT8: "B",
    GGUFValueType.INT8: "b",
    GGUFValueType.UINT16: "H",
    GGUFValueType.INT16: "h",
    GGUFValueType.UINT32: "I",
    GGUFValueType.INT32: "i",
    GGUFValueType.FLOAT32: "f",
    GGUFValueType.BOOL: "?",
    GGUFValueType.UINT64: "Q",
    GGUFValueType.INT64: "q",
    GGUFValueType.FLOAT64: "d",
}


@dataclass(frozen=True, kw_only=True)
class GgufTensor:
    """A tensor in a GGUF file: `n_bytes` from offset `start` on, quantised as `kind`."""

    path: Path
    name: str
    kind: GGMLQuantizationType
    shape: tuple[int, ...]
    start: int
    n_bytes: int

    def read(self) -> Generator[int, None, np.ndarray[Any, Any]]:
        """Read and dequantise the tensor; yields the number of bytes of each block, returns float32 values of `shape`.

        Raises:
            ValueError: if the file cannot be read, or its quantisation is not supported.
        """
        out = np.empty(self.shape, dtype=np.float32)
        values = out.reshape(-1, self.shape[-1])  # a view by rows
        rows, row_bytes = len(values), self.n_bytes // len(values)
        step = max(1, _BLOCK_BYTES // row_bytes)
        try:
            with self.path.open("rb") as file:
                file.seek(self.start)
                for first in range(0, rows, step):
                    n = min(step, rows - first)
                    values[first : first + n] = self._dequantised(file.read(n * row_bytes), n)
                    yield n * row_bytes
        except OSError as error:
            raise ValueError(f"{self.path} cannot be read: {error.strerror}.") from error
        return out

    def check_kind(self) -> None:
        """Raise ValueError if its quantisation is not supported."""
        self._dequantised(bytes(self.n_bytes // prod(self.shape[:-1])), 1)

    def _dequantised(self, data: bytes, n_rows: int) -> np.ndarray[Any, Any]:
        if self.kind == GGMLQuantizationType.F16:  # the package does not convert float16
            return np.frombuffer(data, dtype=np.float16).reshape(n_rows, -1)
        try:
            return quants.dequantize(np.frombuffer(data, dtype=np.uint8).reshape(n_rows, -1), self.kind)
        except (QuantError, NotImplementedError) as error:
            raise ValueError(
                f"{self.path}: {self.name!r} is quantised as {self.kind.name}, which is not supported: "
                "use another quantisation (Q8_0, Q4_K_M, F16, …)."
            ) from error


def read_gguf_header(path: Path) -> tuple[dict[str, Any], dict[str, GgufTensor]]:
    """Read the metadata (key -> value, arrays as lists) and the tensors of a GGUF file; they are within the file.

    Raises:
        DamagedError: if it is truncated or not a GGUF file; ValueError: if it cannot be read.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _HeaderReader(path, data).read()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}.") from error
    except (
        ValueError,
        struct.error,
        RecursionError,
    ) as error:  # empty, truncated, not UTF-8, or an unknown value type
        if isinstance(error, DamagedError):
            raise
        raise DamagedError(f"{path} is damaged or cut off: it is not a complete GGUF file. Get it again.") from error


class _HeaderReader:
    """Reads the header of a file from its start; raises struct.error or ValueError if it is invalid."""

    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self._path, self._data, self._offset, self._n_items = path, data, 0, 0

    def read(self) -> tuple[dict[str, Any], dict[str, GgufTensor]]:
        magic, version = self._numbers("II")
        if magic != GGUF_MAGIC:
            raise DamagedError(f"{self._path} is not a GGUF file, whatever its name: choose another one.")
        if version not in (2, 3):
            raise ValueError(f"version {version}")
        n_tensors, n_values = self._numbers("QQ")
        if n_tensors > _MAX_TENSORS:
            raise ValueError(f"{n_tensors} tensors")
        if n_values > _MAX_KEYS:
            raise ValueError(f"{n_values} keys")
        metadata = {}
        for _ in range(n_values):
            key = self._text()
            metadata[key] = self._value(GGUFValueType(self._number("I")))
        entries = [self._tensor() for _ in range(n_tensors)]
        alignment = metadata.get("general.alignment", 32)
        if type(alignment) is not int or alignment < 1:
            raise ValueError("alignment")
        begin = -(-self._offset // alignment) * alignment
        found = {entry.name: dataclasses.replace(entry, start=begin + entry.start) for entry in entries}
        check_disjoint(self._path, ((entry.name, entry.start, entry.n_bytes) for entry in entries))
        for tensor in found.values():
            if tensor.start + tensor.n_bytes > len(self._data):
                raise DamagedError(
                    f"{self._path} is damaged or cut off: it ends before {tensor.name!r} does. Get it again."
                )
        return metadata, found

    def _tensor(self) -> GgufTensor:
        name = self._text()
        n_dims = self._number("I")
        if not 1 <= n_dims <= 4:
            raise ValueError(f"{n_dims} dimensions")
        shape = tuple(reversed(self._numbers(f"{n_dims}Q")))
        kind, offset = GGMLQuantizationType(self._number("I")), self._number("Q")
        per_block, block_bytes = GGML_QUANT_SIZES[kind]
        if not prod(shape) or shape[-1] % per_block:
            raise ValueError(f"{name} is empty, or ends within a block")
        return GgufTensor(
            path=self._path,
            name=name,
            kind=kind,
            shape=shape,
            start=offset,
            n_bytes=prod(shape) // per_block * block_bytes,
        )

    def _value(self, kind: GGUFValueType) -> Any:
        if kind == GGUFValueType.STRING:
            return self._text()
        if kind != GGUFValueType.ARRAY:
            return self._number(_SCALARS[kind])
        item, length = GGUFValueType(self._number("I")), self._number("Q")
        self._n_items += length
        if self._n_items > _MAX_ITEMS:
            raise ValueError("more items in arrays than any known header has")
        if item in _SCALARS:
            return list(self._numbers(f"{length}{_SCALARS[item]}"))
        return [self._value(item) for _ in range(length)]

    def _text(self) -> str:
        length = self._number("Q")
        begin = self._advance(length)
        return self._data[begin : begin + length].decode("utf-8")

    def _number(self, code: str) -> Any:
        return self._numbers(code)[0]

    def _numbers(self, code: str) -> tuple[Any, ...]:
        return struct.unpack_from("<" + code, self._data, self._advance(struct.calcsize("<" + code)))

    def _advance(self, n_bytes: int) -> int:
        """Advance by `n_bytes`, and return the offset before; ValueError beyond the file or the header's limit."""
        begin, self._offset = self._offset, self._offset + n_bytes
        if self._offset > min(len(self._data), _MAX_HEADER_BYTES):
            raise ValueError("a header longer than the file, or than any known one")
        return begin
