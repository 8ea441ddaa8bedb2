"""Checks of untrusted files: limits on their unpacked size, and tensors that must not share bytes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from terrarium.models.files.atomic import DamagedError

MAX_RATIO = 200
"""Maximum ratio of unpacked to packed size."""
FREE_BYTES = 1 << 26
"""Unpacked size that is allowed for any file."""
MAX_UNPACKED_BYTES = 1 << 38
"""Maximum unpacked size, regardless of the packed size."""


def unpacked_limit(packed_bytes: int, ratio: int = MAX_RATIO) -> int:
    """Return the limit on a file's unpacked bytes: `ratio` times its size, between FREE_BYTES and MAX_UNPACKED_BYTES.

    For archives and compressed files, and for formats in which many entries can share one text: Parquet, .mo.
    """
    return min(MAX_UNPACKED_BYTES, max(FREE_BYTES, ratio * packed_bytes))


def check_disjoint(path: Path, ranges: Iterable[tuple[str, int, int]]) -> None:
    """Check that tensors do not share bytes: the formats forbid it, and a small file could fill the memory.

    Args:
        ranges: name, offset and number of bytes of each tensor.

    Raises:
        DamagedError: if two overlap, naming them.
    """
    last, end = "", 0
    for start, n_bytes, name in sorted((start, n_bytes, name) for name, start, n_bytes in ranges):
        if not n_bytes:
            continue
        if start < end:
            raise DamagedError(f"{path} is damaged: its tensors {last!r} and {name!r} overlap.")
        last, end = name, start + n_bytes
