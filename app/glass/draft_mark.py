"""The outcome of speculative decoding for one token of a reply, in words. No widgets."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from terrarium.app.glass.names import quoted

OUTCOMES = {
    "accepted": "accepted",
    "replaced": "replaced",
    "bonus": "the model’s own",
}
"""The label of each outcome in the legend."""


class DraftMark(NamedTuple):
    """How speculative decoding produced one token.

    outcome: as in `models.events.Speculated`. word: the displayed text of the draft model's proposal; "" for a bonus
    token. p, q: the probability of the proposal in the model and in the draft model, both after the sampling settings;
    None for a bonus token and at temperature 0.
    """

    outcome: str
    word: str = ""
    p: float | None = None
    q: float | None = None

    def sentence(self, word: str) -> str:
        """Describe the outcome for this token, whose displayed text is `word`."""
        if self.outcome == "bonus":
            return f"{quoted(word)} is the model’s own: each of its passes gives one token beyond the accepted ones."
        known = self.p is not None and self.q is not None
        numbers = f" (q {_short(self.q or 0.0)}, p {_short(self.p or 0.0)})" if known else ""
        if self.outcome == "accepted":
            return f"The draft proposed {quoted(word)}{numbers}, and the model accepted it."
        return f"The draft proposed {quoted(self.word)}{numbers}, replaced by {quoted(word)}."


def summary(marks: Iterable[DraftMark | None]) -> str:
    """Format the number of tokens by outcome: “31 accepted from the draft, 4 replaced, 6 the model’s own.”"""
    outcomes = [mark.outcome for mark in marks if mark is not None]
    n = {name: outcomes.count(name) for name in OUTCOMES}
    return f"{n['accepted']:,} accepted from the draft, {n['replaced']:,} replaced, {n['bonus']:,} the model’s own."


def _short(p: float) -> str:
    """Format a probability with two decimals: “0.41”, “<0.01”, “0”."""
    return f"{p:.2f}" if p >= 0.005 else "<0.01" if p > 0 else "0"
