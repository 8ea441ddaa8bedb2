"""The common output of all task generators: a row with its split."""

from __future__ import annotations

from dataclasses import dataclass

from terrarium.models.corpora.corpus import Example


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
