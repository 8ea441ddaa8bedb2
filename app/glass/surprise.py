"""The choice of the token of a reply that the glass box opens on: the one that surprised the model most. No widgets."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer


N_LATEST = 200
"""How many tokens at the end of a reply are considered: the distributions of earlier ones may not be kept."""


def most_surprising(
    ids: Sequence[int], probabilities: Sequence[float | None], marks: Collection[int] = (), n_given: int = 0
) -> int | None:
    """Return the index of the token of a reply with the lowest probability, the first of equals.

    If no probability is known, return the first eligible token; if there is no eligible token, None.

    Args:
        probabilities: of each token in the model's own distribution; None if unknown.
        marks: ids of special tokens, such as the end of a reply, which are not eligible, since they are not text.
        n_given: how many tokens at the start were prefilled: not eligible, since the model did not choose them.
    """
    first = max(n_given, len(ids) - N_LATEST)
    counting = [index for index, id in enumerate(ids) if index >= first and id not in marks]
    known = [(p, index) for index in counting if (p := probabilities[index]) is not None]
    return min(known)[1] if known else next(iter(counting), None)


def special_ids(tokenizer: Tokenizer | None) -> frozenset[int]:
    """Return the ids of the special tokens of a tokenizer."""
    if tokenizer is None:
        return frozenset()
    return frozenset(id for id, token in tokenizer.get_added_tokens_decoder().items() if token.special)
