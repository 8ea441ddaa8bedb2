"""The white space around a reply."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from terrarium.models.chat.own_template import ReplyStripper


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(" \n\u3000ab", max_size=4)))
def test_the_pieces_are_the_stripped_text(pieces: list[str]) -> None:
    stripper, shown = ReplyStripper(), ""
    for i, piece in enumerate(pieces):
        shown += stripper.add(piece)
        assert shown == "".join(pieces[: i + 1]).strip()
