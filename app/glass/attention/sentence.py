"""A sentence about the attention of a head for one token, and the choice of the initial head. No widgets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from terrarium.app.glass.attention.head_tiles import Tile
from terrarium.app.glass.attention.shown_row import ShownRow
from terrarium.app.glass.names import format_rough, spoken
from terrarium.app.plots.pictures import Floats
from terrarium.models.inspect.attention_maps import StackMaps


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
