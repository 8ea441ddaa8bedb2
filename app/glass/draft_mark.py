"""What a draft model did for one token of a reply, in words. No widgets."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from terrarium.app.glass.names import quoted

OUTCOMES = {
    "accepted": "accepted",
    "replaced": "replaced",
    "bonus": "the model’s own",
}
"""What the legend calls each outcome."""


class DraftMark(NamedTuple):
    """How one token came about. outcome: as in `models.events.Speculated`; word: the draft's proposal, as displayed, ""
    for none; p, q: its probability in the model and in the draft, after the settings; None where nothing was drawn."""

    outcome: str
    word: str = ""
    p: float | None = None
    q: float | None = None

    def sentence(self, word: str) -> str:
        """What happened at this token, which is displayed as `word`."""
        if self.outcome == "bonus":
            return f"{quoted(word)} is the model’s own: each of its passes gives one token beyond the accepted ones."
        known = self.p is not None and self.q is not None
        numbers = f" (q {_short(self.q or 0.0)}, p {_short(self.p or 0.0)})" if known else ""
        if self.outcome == "accepted":
            return f"The draft proposed {quoted(word)}{numbers}, and the model accepted it."
        return f"The draft proposed {quoted(self.word)}{numbers}, replaced by {quoted(word)}."


def summary(marks: Iterable[DraftMark | None]) -> str:
    """How many tokens came about in which way: “31 accepted from the draft, 4 replaced, 6 the model’s own.”"""
    outcomes = [mark.outcome for mark in marks if mark is not None]
    n = {name: outcomes.count(name) for name in OUTCOMES}
    return f"{n['accepted']:,} accepted from the draft, {n['replaced']:,} replaced, {n['bonus']:,} the model’s own."


def _short(p: float) -> str:
    """A probability in two decimals: “0.41”, “<0.01”, “0”."""
    return f"{p:.2f}" if p >= 0.005 else "<0.01" if p > 0 else "0"
