"""Split assignment by a hash of the item itself, so that training and evaluation never share it; rows with their split.

No list is stored: a generator of training data drops held-out items, and one of held-out questions drops the others, in
any number and in any later session.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from terrarium.models.corpora.corpus import Example


def is_held_out(item: str, one_in: int = 10) -> bool:
    """Return whether an item (a story, a pair of numbers, a combination of names …) is in the held-out split."""
    return zlib.crc32(f"split:{item}".encode()) % one_in == 0


def held_out_index(item: str, n: int) -> int:
    """Return the index of the held-out phrasing among an item's `n`."""
    return zlib.crc32(f"phrasing:{item}".encode()) % n


def split_of(item: str, one_in: int = 10) -> str:
    """ "test" if the item `is_held_out`, "val" for as many others, else "train"."""
    return {0: "test", 1: "val"}.get(zlib.crc32(f"split:{item}".encode()) % one_in, "train")


@dataclass(frozen=True)
class Drawn:
    """A row, its split ("train", "val" or "test"), and its `group` within the split, which is counted separately.

    The group is also the row's column "group".
    """

    split: str
    row: Example

    @property
    def group(self) -> str:
        """The row's column "group"."""
        group: str = self.row["group"]
        return group
