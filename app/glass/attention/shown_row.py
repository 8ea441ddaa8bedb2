"""Which row of an attention map belongs to the token in focus, and a sentence that says so. No widgets.

A causal model predicts a token at the position before it, so that row is shown; the token's own row, which predicts the
next token, on request. In a bidirectional model there is only the token's own row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from terrarium.app.glass.names import quoted

ROWS = {"before": "Attention used to predict it", "own": "Attention after it"}
"""The row shown for a token in a causal model."""


@dataclass(frozen=True, kw_only=True)
class ShownRow:
    """A row of the map by its index, the token in focus if it is another one, and a sentence about it."""

    query: int
    marked: int | None
    words: str


def shown_row(words: Sequence[str], position: int | None, which: str | None, n_rows: int) -> ShownRow:
    """The row for the token at `position` (None: the last one) of a text with these words.

    Args:
        which: one of ROWS; None for bidirectional attention.
        n_rows: how many of the tokens were read, and have a row: a token drawn when the context was full has none.
    """
    hint = ""
    if position is None:
        position, hint = len(words) - 1, "Point at a token to see its row; this is the last one's. "
    at = f"{quoted(words[position])} ({position + 1:,})"
    if which is None:
        return ShownRow(query=position, marked=None, words=f"{hint}Row of {at}.")
    if position >= n_rows:
        sentence = f"{hint}Row of {quoted(words[n_rows - 1])} ({n_rows:,}), which predicts {at}: the context was full"
        return ShownRow(query=n_rows - 1, marked=position, words=f"{sentence}, so {at} itself was not read.")
    if which == "own":
        return ShownRow(query=position, marked=None, words=f"{hint}Row of {at}, which predicts what comes after it.")
    if position == 0:
        sentence = f"{hint}{at} is the first token, so no row predicts it. This is its own."
        return ShownRow(query=0, marked=None, words=sentence)
    before = f"{quoted(words[position - 1])} ({position:,})"
    return ShownRow(query=position - 1, marked=position, words=f"{hint}Row of {before}, which predicts {at}.")


def position_of_row(query: int, n: int, which: str | None) -> int | None:
    """The position whose shown row is `query` in a text of `n` tokens; None if there is none."""
    if which != "before":
        return query
    return query + 1 if query + 1 < n else None
