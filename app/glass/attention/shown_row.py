"""The row of an attention map that is shown for the token in focus, and sentences about it. No widgets.

A causal model predicts a token at the position before it, so that row is shown by default; the token's own row, which
predicts the next token, can be chosen. In bidirectional attention there is only the token's own row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from terrarium.app.glass.attention.head_tiles import Tile
from terrarium.app.glass.names import format_rough, quoted, spoken
from terrarium.app.plots.pictures import Floats
from terrarium.models.inspect.attention_maps import StackMaps

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


def describe_row(
    head: str,
    row: ShownRow,
    weights: Floats,
    words: Sequence[str],
    others: Sequence[str] | None,
    *,
    is_causal: bool,
    gives_label: bool = False,
) -> str:
    """Describe the attention of a head in one token's row.

    Args:
        head: the name of the head, as “head 2 of layer 3”.
        weights: (S) the attention weights of the head in this row; NaN where masked.
        words: the query tokens. others: the key tokens if they belong to another text.
        is_causal: whether the head attends only to the token itself and earlier ones.
        gives_label: whether the label of the text is read at that token.
    """
    at = int(np.nanargmax(weights))
    share = format_rough(float(weights[at]))
    whose = row.query if row.marked is None else row.marked
    aim = f"To predict {spoken(words[whose])}" if row.marked is not None else f"At {spoken(words[whose])}"
    if gives_label:
        aim = f"At {spoken(words[whose])}, where the label is read"
    if others is not None:
        return f"{aim}, {head} looks most at {spoken(others[at])} in the source ({share})."
    if at == row.query:
        newest = ", the last token it has read" if row.marked is not None else " itself"
        return f"{aim}, {head} looks most at {spoken(words[at])}{newest} ({share})."
    where = ", the very first token" if at == 0 else ""
    again = "an earlier " if is_causal and words[at] == words[whose] else ""
    return f"{aim}, {head} looks {'back ' if is_causal else ''}most at {again}{spoken(words[at])}{where} ({share})."


def most_focused(stack: StackMaps, query: int) -> Tile | None:
    """Return the head with the largest weight on a single token; None if the maps are pooled or all weights are 0.

    Except in cross-attention, the first token and the query itself are ignored: many heads attend there by default.
    """
    if stack.is_pooled:
        return None
    best: tuple[float, Tile] | None = None
    for number, site in enumerate(stack.sites):
        row = np.nan_to_num(site.weights[: site.n_head, query]).copy()
        if stack.kind != "cross":
            row[:, [0, query]] = 0.0
        head, at = divmod(int(row.argmax()), row.shape[1])
        weight = float(row[head, at])
        if weight > 0.0 and (best is None or weight > best[0]):
            best = weight, Tile(number, head)
    return best[1] if best is not None else None
