"""Reads and checks the header of a safetensors file (huggingface.co/docs/safetensors). No torch import.

Nothing is allocated for the tensors, so a header with absurd sizes is harmless.
"""

from __future__ import annotations

import json
from math import prod
from pathlib import Path
from typing import NamedTuple

from terrarium.models.files.atomic import DamagedError
from terrarium.models.files.limits import check_disjoint

ITEM_BYTES = {
    "F64": 8,
    "F32": 4,
    "F16": 2,
    "BF16": 2,
    "I64": 8,
    "I32": 4,
    "I16": 2,
    "I8": 1,
    "U8": 1,
    "BOOL": 1,
}
"""The supported dtypes, with the bytes per number."""

_MAX_HEADER_BYTES = 1 << 24
"""Enough for 100,000 tensors. The format allows 100 MB, which would take more than seconds to parse."""


class TensorEntry(NamedTuple):
    """A tensor in the file: `n_bytes` from offset `start` on."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    n_bytes: int


def read_safetensors_header(path: Path) -> dict[str, TensorEntry]:
    """Read the entries of a file's tensors by name; they are within the file, fit their shapes, and do not overlap.

    Raises:
        DamagedError: if it is missing, truncated or not a safetensors file.
        ValueError: if it cannot be read.
    """
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > min(size - 8, _MAX_HEADER_BYTES):
                raise DamagedError(f"{path} is damaged: it is truncated or not a safetensors file.")
            header = json.loads(file.read(length))
    except FileNotFoundError:
        raise DamagedError(f"{path} is missing.") from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, DamagedError):
            raise
        raise DamagedError(f"{path} is damaged: its header is not valid JSON.") from error
    if not isinstance(header, dict):
        raise DamagedError(f"{path} is damaged: its header is not a JSON object.")
    header.pop("__metadata__", None)
    found = {name: _entry(path, name, entry, 8 + length, size) for name, entry in header.items()}
    check_disjoint(path, ((name, entry.start, entry.n_bytes) for name, entry in found.items()))
    return found


def _entry(path: Path, name: str, entry: object, data_start: int, size: int) -> TensorEntry:
    """Check a header entry: its offsets must be within the file and fit its shape and dtype."""
    try:
        dtype, shape, (start, end) = entry["dtype"], entry["shape"], entry["data_offsets"]  # type: ignore[index]
        whole = all(type(n) is int and n >= 0 for n in (*shape, start, end))
        sound = whole and isinstance(dtype, str) and start <= end
    except (KeyError, TypeError, ValueError):
        sound = False
    if not sound:
        raise DamagedError(f"{path} is damaged: its header has an invalid entry for {name!r}.")
    if data_start + end > size:
        raise DamagedError(f"{path} is damaged: it ends before {name!r} does; perhaps a download was interrupted.")
    if dtype in ITEM_BYTES and prod(shape) * ITEM_BYTES[dtype] != end - start:
        raise DamagedError(f"{path} is damaged: the size of {name!r} does not match its shape.")
    return TensorEntry(dtype, tuple(shape), data_start + start, end - start)
