"""What the generators of all tasks share: a row that knows which split it belongs to."""

from __future__ import annotations

from dataclasses import dataclass

from terrarium.models.corpora.corpus import Example


@dataclass(frozen=True)
class Drawn:
    """A row, its split ("train", "val" or "test"), and the `group` within the split that is counted by itself.

    The group is also the row's column "group".
    """

    split: str
    row: Example

    @property
    def group(self) -> str:
        """As in the row."""
        group: str = self.row["group"]
        return group
