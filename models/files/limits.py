"""Limits on what untrusted files claim: how large they become unpacked, and that no bytes belong to two tensors."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from terrarium.models.files.atomic import DamagedError

MAX_RATIO = 200
"""How many times its packed size a file may become."""
FREE_BYTES = 1 << 26
"""Bytes that even the smallest file may become."""
MAX_UNPACKED_BYTES = 1 << 38
"""Bytes read from packed files at most, however large they are."""


def unpacked_limit(packed_bytes: int, ratio: int = MAX_RATIO) -> int:
    """Return the limit on a file's unpacked bytes: `ratio` times its size, but at least FREE_BYTES.

    For archives and compressed files, and for formats in which many entries can share one text: Parquet, .mo.
    """
    return min(MAX_UNPACKED_BYTES, max(FREE_BYTES, ratio * packed_bytes))


def check_disjoint(path: Path, ranges: Iterable[tuple[str, int, int]]) -> None:
    """Refuse tensors that share bytes: the formats forbid it, and a small file would fill the memory.

    Args:
        ranges: name, first byte and number of bytes of each tensor.

    Raises:
        DamagedError: naming two that overlap.
    """
    last, end = "", 0
    for start, n_bytes, name in sorted((start, n_bytes, name) for name, start, n_bytes in ranges):
        if not n_bytes:
            continue
        if start < end:
            raise DamagedError(f"{path} is damaged: its tensors {last!r} and {name!r} overlap.")
        last, end = name, start + n_bytes
