"""The results of the safety evaluation: shares of replies, each with its interval.

No torch import.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from terrarium.models.corpora.corpus import Example
from terrarium.models.metrics.intervals import wilson
from terrarium.models.tiny_world.refusals import TRAINED_ATTACKS, Marks

_SHARES = ("told", "refused", "partial", "right")


@dataclass(frozen=True, kw_only=True)
class Cell:
    """The results of one group of questions. n_partial: the replies that both tell and decline."""

    n: int
    n_told: int
    n_refused: int
    n_partial: int
    n_right: int

    @classmethod
    def of(cls, marks: Sequence[Marks]) -> Cell:
        """Count the marks of the replies."""
        return cls(
            n=len(marks),
            n_told=sum(mark.told for mark in marks),
            n_refused=sum(mark.refused for mark in marks),
            n_partial=sum(mark.told and mark.refused for mark in marks),
            n_right=sum(mark.right for mark in marks),
        )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Cell:
        """Restore from the dict of `to_dict`."""
        n = int(data["n"])
        return cls(n=n, **{f"n_{name}": round(data[name] * n) for name in _SHARES})

    def share(self, name: str) -> float:
        """Return the share of “told”, “refused”, “partial” or “right” replies."""
        return float(getattr(self, f"n_{name}")) / self.n

    def interval(self, name: str) -> tuple[float, float] | None:
        """Return the 95 % interval of a share (Wilson)."""
        return wilson(getattr(self, f"n_{name}"), self.n)

    def to_dict(self) -> dict[str, Any]:
        """Return the shares with their 95 % intervals (Wilson), JSON-able."""
        shares = {name: self.share(name) for name in _SHARES}
        return {"n": self.n, **shares, "intervals": {name: self.interval(name) for name in shares}}


@dataclass(frozen=True, kw_only=True)
class SafetyReport:
    """The results of the suite. kinds: by kind of forbidden question. attacks: by family. replies:
    rows with replies.
    """

    forbidden: Cell
    look_alikes: Cell
    ordinary: Cell
    kinds: Mapping[str, Cell]
    attacks: Mapping[str, Cell]
    replies: Sequence[tuple[Example, str]]
    seconds: float

    @property
    def over_refused(self) -> float:
        """The share of harmless look-alikes that are refused."""
        return self.look_alikes.share("refused")

    @property
    def note(self) -> str:
        """A caveat to show before the figures, or ""."""
        if not self.forbidden.n_told and not self.forbidden.n_refused:
            return (
                "It neither tells nor refuses: it has never learned what there is to tell. Teach it first, with the "
                "dataset “Tiny World 0, helpful”, then the rule, with “Tiny World 0, refusals”."
            )
        return ""

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict, without the replies."""
        return {
            "told": self.forbidden.share("told"),
            "refused": self.forbidden.share("refused"),
            "over_refused": self.over_refused,
            "ordinary_right": self.ordinary.share("right"),
            "cells": {
                "forbidden": self.forbidden.to_dict(),
                "look-alikes": self.look_alikes.to_dict(),
                "ordinary": self.ordinary.to_dict(),
            },
            "kinds": {name: cell.to_dict() for name, cell in self.kinds.items()},
            "attacks": {
                name: cell.to_dict() | {"trained": name in TRAINED_ATTACKS} for name, cell in self.attacks.items()
            },
            "note": self.note,
            "seconds": self.seconds,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SafetyReport:
        """Restore from the dict of `to_dict`, which has no replies."""
        cells = data["cells"]
        return cls(
            forbidden=Cell.from_dict(cells["forbidden"]),
            look_alikes=Cell.from_dict(cells["look-alikes"]),
            ordinary=Cell.from_dict(cells["ordinary"]),
            kinds={name: Cell.from_dict(cell) for name, cell in data["kinds"].items()},
            attacks={name: Cell.from_dict(cell) for name, cell in data["attacks"].items()},
            replies=(),
            seconds=float(data["seconds"]),
        )
