"""Which row of attention belongs to a token, and the reverse."""

from __future__ import annotations

import pytest

from terrarium.app.glass.attention.shown_row import position_of_row, shown_row

WORDS = ("the", "cat", "sat")


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
