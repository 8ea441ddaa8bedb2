"""The row of an attention map that is shown for the token in focus, and a sentence about it. No widgets.

A causal model predicts a token at the position before it, so that row is shown by default; the token's own row, which
predicts the next token, can be chosen. In bidirectional attention there is only the token's own row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from terrarium.app.glass.names import quoted

ROWS = {"before": "Attention used to predict it", "own": "Attention after it"}
"""The choices of a row for a token in a causal model, with their labels."""


@dataclass(frozen=True, kw_only=True)
class ShownRow:
    """A row of an attention map.

    query: the index of the row. marked: the position of the token in focus if it is not `query`, else None.
    words: a sentence about the row.
    """

    query: int
    marked: int | None
    words: str


def shown_row(words: Sequence[str], position: int | None, which: str | None, n_rows: int) -> ShownRow:
    """Return the row to show for the token at `position` (None: the last one) of a text with the tokens `words`.

    Args:
        which: one of ROWS; None for bidirectional attention.
        n_rows: how many of the tokens were read and so have a row; one sampled when the context was full has none.
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
    """Return the position for which row `query` is shown in a text of `n` tokens, or None."""
    if which != "before":
        return query
    return query + 1 if query + 1 < n else None
