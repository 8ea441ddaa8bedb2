"""Tokens, sentences and tables of two sentences and their difference, for the page's figures. No widgets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from terrarium.models.number_words import format_prob
from terrarium.models.tiny_world.pronouns import IT
from terrarium.models.tokenizers.special_tokens import MASK_SPELLINGS

if TYPE_CHECKING:
    from terrarium.app.kit.chart_export import Columns
    from terrarium.models.inspect.minimal_pair import PairReading

Floats = NDArray[np.float32]
NO_TOKEN = "–"
_DEFAULT_TOKENS = (frozenset({IT}), frozenset(mask.lower() for mask in MASK_SPELLINGS))


def side_tokens(reading: PairReading, side: int) -> list[str]:
    """Return the tokens of a sentence by column, “–” for a missing token."""
    indices = (column[side] for column in reading.columns)
    return [NO_TOKEN if i is None else reading.words[side][i] for i in indices]


def column_labels(reading: PairReading) -> list[str]:
    """Return a label for each column: the token if both are the same, else both tokens."""
    both = zip(side_tokens(reading, 0), side_tokens(reading, 1), strict=True)
    return [first if first == second else f"{first}/{second}" for first, second in both]


def differing_columns(reading: PairReading) -> frozenset[int]:
    """Return the columns where the sentences differ."""
    both = zip(side_tokens(reading, 0), side_tokens(reading, 1), strict=True)
    return frozenset(k for k, (first, second) in enumerate(both) if first != second)


def default_column(reading: PairReading) -> int:
    """Return the initially chosen column: the last “it” of both sentences, or a mask, else their last token."""
    both = [k for k, (i, j) in enumerate(reading.columns) if i is not None and j is not None]
    words = side_tokens(reading, 0)
    for wanted in _DEFAULT_TOKENS:
        found = [k for k in both if words[k].strip("·Ġ▁ ").lower() in wanted]
        if found:
            return found[-1]
    return both[-1]


def by_column(reading: PairReading, side: int, layer: int, head: int) -> Floats:
    """Return one head's attention in one sentence by columns, (K, K); NaN for missing and masked tokens."""
    indices = [column[side] for column in reading.columns]
    there = [k for k, i in enumerate(indices) if i is not None]
    found = np.full((len(indices), len(indices)), np.nan, np.float32)
    found[np.ix_(there, there)] = reading.attention[side][layer, head]
    return masked(reading, found)


def masked(reading: PairReading, table: Floats) -> Floats:
    """Return the table, (K, K), with NaN for later tokens if the model is causal."""
    if not reading.is_causal:
        return table
    found = table.copy()
    found[np.triu_indices(len(found), 1)] = np.nan
    return found


def row_differences(reading: PairReading, row: int) -> Floats:
    """Return the largest difference of each head in one row, (L, H); 0 if nothing can be compared."""
    rows = np.abs(reading.difference[:, :, row])
    found: Floats = np.where(np.isnan(rows), 0.0, rows).max(axis=2)
    return found


def describe_row(reading: PairReading, layer: int, head: int, row: int) -> str:
    """Describe where the token of a row attends in both sentences, and how much that differs."""
    words = column_labels(reading)
    looks = []
    for side, name in ((0, "A"), (1, "B")):
        weights = by_column(reading, side, layer, head)[row]
        if np.isnan(weights).all():
            return f"“{words[row]}” is in only one of the sentences, so there is nothing to compare."
        most = int(np.nanargmax(weights))
        looks.append(f"in {name} most to “{side_tokens(reading, side)[most]}” ({format_prob(float(weights[most]))})")
    largest = float(row_differences(reading, row)[layer, head])
    if largest == 0.0:
        return f"“{words[row]}” attends {looks[0]}. The same in B: the difference of its row is exactly 0."
    return f"“{words[row]}” attends {' and '.join(looks)}. Largest difference in its row: {format_points(largest)}."


def format_points(difference: float) -> str:
    """Format a difference of two shares in percentage points: “12.5 points”."""
    return f"{100 * difference:.3g} points"


def attention_columns(reading: PairReading, layer: int, head: int) -> Columns:
    """Return one head's weights in both sentences as columns of a table, a row per pair of tokens (from 1)."""
    first, second = (by_column(reading, side, layer, head) for side in (0, 1))
    looking, seen = (grid.ravel() for grid in np.indices(first.shape))
    words = column_labels(reading)
    return {
        "layer": [layer + 1] * first.size,
        "head": [head + 1] * first.size,
        "looking": looking + 1,
        "looking_token": [words[i] for i in looking],
        "seen": seen + 1,
        "seen_token": [words[i] for i in seen],
        "A": first.ravel().astype(np.float64),
        "B": second.ravel().astype(np.float64),
        "B less A": masked(reading, reading.difference[layer, head]).ravel().astype(np.float64),
    }
