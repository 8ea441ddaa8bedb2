"""Which row of an attention map stands for the token that one points at, and how that is said. No widgets.

A causal model chose a token from the row of the token before it, so that is the row shown; the token's own row, which
chooses what comes after it, on request. A token that is seen from both sides has but its own row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.glass.names import quoted

ROWS = {"before": "The row that predicts it", "own": "Its own row"}
"""Which row is shown of a token in a causal text."""


@dataclass(frozen=True, kw_only=True)
class ShownRow:
    """A row of the map by its token's place, the token that is asked about where that is another, and a sentence."""

    query: int
    marked: int | None
    words: str


def shown_row(words: Sequence[str], place: int | None, which: str | None) -> ShownRow:
    """The row for the token at `place` (None: the last one stands in) of a text with these words.

    Args:
        which: one of ROWS; None where tokens see both sides.
    """
    hint = ""
    if place is None:
        place, hint = len(words) - 1, "Point at a token to see its row; meanwhile the last one's. "
    at = f"{quoted(words[place])} ({place + 1:,})"
    if which is None:
        return ShownRow(query=place, marked=None, words=f"{hint}Row of {at}.")
    if which == "own":
        return ShownRow(query=place, marked=None, words=f"{hint}Row of {at}, which predicts what comes after it.")
    if place == 0:
        sentence = f"{hint}{at} is the first token, so no row predicts it. This is its own row."
        return ShownRow(query=0, marked=None, words=sentence)
    before = f"{quoted(words[place - 1])} ({place:,})"
    return ShownRow(query=place - 1, marked=place, words=f"{hint}Row of {before}, which predicts {at}.")


def place_of_row(query: int, n: int, which: str | None) -> int | None:
    """The place whose shown row is `query` in a text of `n` tokens; None where no token's is."""
    if which != "before":
        return query
    return query + 1 if query + 1 < n else None
