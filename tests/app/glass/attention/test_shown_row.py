"""Which row of attention belongs to a token, and the reverse."""

from __future__ import annotations

import numpy as np
import pytest

from terrarium.app.glass.attention.head_tiles import Tile
from terrarium.app.glass.attention.shown_row import describe_row, most_focused, position_of_row, shown_row
from terrarium.app.plots.pictures import Floats
from terrarium.models.inspect.attention_maps import SiteMap, StackMaps, with_aggregates

WORDS = ("the", "cat", "sat")
SENTENCE = ("⟨user⟩", "·Mia", "·is", "·sad")


def test_the_row_before_predicts_a_token() -> None:
    row = shown_row(WORDS, 2, "before", 3)
    assert (row.query, row.marked) == (1, 2)
    assert row.words == "Row of “cat” (2), which predicts “sat” (3)."
    row = shown_row(WORDS, 1, "own", 3)
    assert (row.query, row.marked) == (1, None)
    assert "what comes after it" in row.words
    row = shown_row(WORDS, 0, "before", 3)
    assert (row.query, row.marked) == (0, None)
    assert "no row predicts it" in row.words
    row = shown_row(WORDS, 2, "own", 2)
    assert (row.query, row.marked) == (1, 2), "the context was full before it"
    assert row.words.endswith("the context was full, so “sat” (3) itself was not read.")
    assert shown_row(WORDS, 1, None, 3).words == "Row of “cat” (2)."
    assert shown_row(WORDS, None, None, 3).query == 2
    assert shown_row(WORDS, None, None, 3).words.startswith("Point at a token")


@pytest.mark.parametrize("which", ["before", "own", None])
def test_position_of_row_inverts_shown_row(which: str | None) -> None:
    for query in range(3):
        position = position_of_row(query, 3, which)
        if position is None:
            assert (query, which) == (2, "before")
        else:
            assert shown_row(WORDS, position, which, 3).query == query


def said(weights: list[float], position: int, which: str | None = "before", *, is_causal: bool = True) -> str:
    row = shown_row(SENTENCE, position, which, len(SENTENCE))
    found = describe_row("head 2 of layer 3", row, np.array(weights, np.float32), SENTENCE, None, is_causal=is_causal)
    return found.replace("\N{NO-BREAK SPACE}", " ")


def test_where_a_head_looks() -> None:
    assert said([0.1, 0.71, 0.19, np.nan], 3) == "To predict “sad”, head 2 of layer 3 looks back most at “Mia” (71 %)."
    again = shown_row(("·Mia", "·and", "·Mia"), 2, "before", 3)
    found = describe_row(
        "head 1 of layer 1", again, np.array([0.9, 0.1]), ("·Mia", "·and", "·Mia"), None, is_causal=True
    )
    assert "looks back most at an earlier “Mia”" in found
    assert said([0.8, 0.1, 0.1, np.nan], 3).endswith("looks back most at “⟨user⟩”, the very first token (80 %).")
    assert said([0.1, 0.1, 0.8, np.nan], 3).endswith("looks most at “is”, the last token it has read (80 %).")


def test_the_tokens_own_row() -> None:
    assert said([0.1, 0.2, 0.1, 0.6], 3, "own") == "At “sad”, head 2 of layer 3 looks most at “sad” itself (60 %)."
    assert said([0.1, 0.2, 0.6, 0.1], 1, None, is_causal=False).startswith("At “Mia”, head 2 of layer 3 looks most at")


def test_cross_attention_names_the_source() -> None:
    row = shown_row(SENTENCE, 3, "before", len(SENTENCE))
    found = describe_row("head 1 of layer 1", row, np.array([0.3, 0.7]), SENTENCE, ("·le", "·chat"), is_causal=False)
    assert "looks most at “chat” in the source" in found


def stack(weights: Floats, edges: list[int]) -> StackMaps:
    sites = tuple(
        SiteMap(site=f"blocks.{i}.attention", weights=with_aggregates(heads), small=heads, scores={})
        for i, heads in enumerate(weights)
    )
    return StackMaps(kind="self", sites=sites, rows=np.array(edges), columns=np.array(edges), is_causal=True)


def test_the_head_to_begin_with_looks_hardest_at_one_other_token() -> None:
    weights = np.zeros((2, 2, 4, 4), np.float32)
    weights[0, 0, 2] = (0.9, 0.05, 0.05, 0.0)  # rests on the first token
    weights[0, 1, 2] = (0.1, 0.1, 0.8, 0.0)  # and this one on itself
    weights[1, 0, 2] = (0.3, 0.4, 0.3, 0.0)
    weights[1, 1, 2] = (0.2, 0.6, 0.2, 0.0)
    assert most_focused(stack(weights, [0, 1, 2, 3, 4]), 2) == Tile(1, 1)
    assert most_focused(stack(weights, [0, 1, 2, 3, 4]), 0) is None, "it sees only itself"
    assert most_focused(stack(weights, [0, 2, 4, 6, 8]), 2) is None, "pooled maps have no exact rows"
