"""One sentence about a token's way through the layers."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from app.glass.layers.sentence import describe_lead

NAMES = ("·happy", "·sad", "·the").__getitem__


@pytest.mark.parametrize(
    ("tops", "expected"),
    [
        ((2, 1, 0, 0), "“happy” leads from layer 2 on, and ends with 31 %; before that, “sad” did."),
        ((0, 0, 0, 0), "“happy” leads from the start, before any layer (31 % in the end)."),
        ((0, 1, 1, 0), "“happy” takes the lead only in the last layer, with 31 %; before that, “sad” did."),
        ((2, 2, 1, 1), "“happy” never leads: in the end “sad” has 40 %, “happy” 31 %."),
        ((2, 0, 0, 1), "“happy” led after layer 2, but in the end “sad” has 40 %, “happy” 31 %."),
        ((0, 1, 1, 1), "“happy” led before any layer, but in the end “sad” has 40 %, “happy” 31 %."),
    ],
)
def test_the_lead(tops: Sequence[int], expected: str) -> None:
    found = describe_lead([(id, 0.4) for id in tops], 0, 0.31, NAMES)
    assert found.replace("\N{NO-BREAK SPACE}", " ") == expected
