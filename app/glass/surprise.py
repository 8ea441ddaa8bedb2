"""Which token of a reply the glass box opens on: the one that surprised the model most. No widgets."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer


N_LATEST = 200
"""Tokens at the end of a reply that are considered: of those long before, not all distributions are kept."""


def most_surprising(
    ids: Sequence[int], probabilities: Sequence[float | None], marks: Collection[int] = (), n_given: int = 0
) -> int | None:
    """The index of the token of a reply to begin with: the one of the lowest probability, the first of several.

    If no probability is known, it is the first eligible token; None for a reply without any.

    Args:
        probabilities: of each token in the model's own distribution; None where it is not known.
        marks: ids of special tokens, such as the end of a reply: they are no words, so they do not count.
        n_given: how many tokens at its start the reply was given: the model did not choose them, so they do not count.
    """
    first = max(n_given, len(ids) - N_LATEST)
    counting = [index for index, id in enumerate(ids) if index >= first and id not in marks]
    known = [(p, index) for index in counting if (p := probabilities[index]) is not None]
    return min(known)[1] if known else next(iter(counting), None)


def special_ids(tokenizer: Tokenizer | None) -> frozenset[int]:
    """The ids of a tokenizer's special tokens."""
    if tokenizer is None:
        return frozenset()
    return frozenset(id for id, token in tokenizer.get_added_tokens_decoder().items() if token.special)
