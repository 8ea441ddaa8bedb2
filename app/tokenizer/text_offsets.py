"""Conversion between byte offsets (used by tokenizers) and Qt's text positions (UTF-16 code units)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class TextOffsets:
    """Maps positions in `text` between UTF-8 bytes and UTF-16 code units. Built once per text, in O(bytes)."""

    def __init__(self, text: str) -> None:
        # Qt can produce lone surrogates while an emoji is being typed: each takes three bytes, as in CESU-8.
        data = np.frombuffer(text.encode("utf-8", "surrogatepass"), dtype=np.uint8)
        leads = (data & 0xC0) != 0x80
        units = leads.astype(np.int64) + (data >= 0xF0)  # beyond the BMP a character takes two units
        self._units: NDArray[np.int64] = np.concatenate(([0], np.cumsum(units)))
        # Within a character, step back to its start: a token may contain only part of it.
        starts = np.where(leads, np.arange(len(data)), 0)
        self._char_start = (
            np.concatenate((np.maximum.accumulate(starts), [len(data)])) if len(data) else np.zeros(1, int)
        )

    @property
    def n_bytes(self) -> int:
        """The number of UTF-8 bytes of the text."""
        return len(self._units) - 1

    def units(self, start: int, end: int) -> tuple[int, int]:
        """Return the UTF-16 range of the characters that bytes `start` to `end` touch."""
        first = int(self._units[self._char_start[start]])
        last = int(self._units[end])
        return first, max(last, first)

    def byte_at(self, unit: int) -> int:
        """Return the first byte of the character at UTF-16 position `unit`."""
        return int(np.searchsorted(self._units, unit + 1, side="left")) - 1 if unit < self._units[-1] else self.n_bytes


def utf16_units(text: str) -> int:
    """Return the length of a text in Qt, in UTF-16 code units."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2
