"""The glass box opens on the reply's most surprising token."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from tokenizers import Tokenizer

from terrarium.app.glass.partial_reply import N_LATEST, most_surprising, special_ids
from terrarium.models.tokenizers.special_tokens import add_missing_special_tokens


@pytest.mark.parametrize(
    ("ids", "probabilities", "n_given", "expected"),
    [
        ((5, 6, 7), (0.9, 0.2, 0.5), 0, 1),
        ((5, 6, 7), (0.2, 0.9, 0.2), 0, 0),
        ((5, 6, 1), (0.9, 0.8, 0.01), 0, 1),
        ((5, 6, 7), (0.1, 0.9, 0.8), 1, 2),
        ((5, 6, 7), (0.5, None, 0.4), 0, 2),
        ((1, 6, 7), (None, None, None), 0, 1),
        ((1, 1), (0.5, 0.4), 0, None),
        ((), (), 0, None),
    ],
    ids=["lowest", "first of two", "no end", "not given", "unknown", "all unknown", "only marks", "empty"],
)
def test_most_surprising(
    ids: Sequence[int], probabilities: Sequence[float | None], n_given: int, expected: int | None
) -> None:
    assert most_surprising(ids, probabilities, {1}, n_given) == expected


def test_only_the_newest_tokens_of_a_long_reply_count() -> None:
    probabilities = [0.01, *[0.5] * N_LATEST]
    probabilities[7] = 0.4
    assert most_surprising(range(N_LATEST + 1), probabilities) == 7


def test_special_ids(byte_tokenizer: Tokenizer) -> None:
    assert special_ids(None) == frozenset()
    add_missing_special_tokens(byte_tokenizer, "encoder-only")
    found = special_ids(byte_tokenizer)
    assert byte_tokenizer.token_to_id("<|mask|>") in found
    assert byte_tokenizer.encode("a").ids[0] not in found
