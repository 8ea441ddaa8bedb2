"""Display texts of tokens, probabilities and signed numbers. No widgets."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from terrarium.models.number_words import format_exponent, format_percent, format_prob
from terrarium.models.tokenizers.codec import decode, pieces_of

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def token_names(tokenizer: Tokenizer | None, ids: Iterable[int]) -> dict[int, str]:
    """Return the displayed text of each token; “#id” for ids missing from the tokenizer, or without a tokenizer.

    Ids can be missing because a model may have a larger vocabulary than its tokenizer.
    """
    names = {id: f"#{id}" for id in ids}
    if tokenizer is not None:
        known = [id for id in names if tokenizer.id_to_token(id) is not None]
        names |= {piece.id: piece.display for piece in pieces_of(tokenizer, known)}
    return names


def text_of(tokenizer: Tokenizer, ids: Iterable[int]) -> str:
    """Decode ids, with special tokens written out; “#id” for ids missing from the tokenizer."""
    groups = itertools.groupby(ids, key=lambda id: tokenizer.id_to_token(id) is not None)
    return "".join(decode(tokenizer, run) if known else "".join(f"#{id}" for id in run) for known, run in groups)


def quoted(word: str) -> str:
    """Return a token in quotation marks, unchanged."""
    return f"“{word}”"


def spoken(word: str) -> str:
    """Return a token for a sentence: in quotation marks, without the space marker; or “a space”, “a line break”."""
    bare = word.strip("·▁Ġ")
    if not bare:
        return "a space" if word else quoted(word)
    return "a line break" if set(bare) <= set("⏎·") else quoted(bare)


def format_rough(p: float) -> str:
    """Format a probability for a sentence: “34 %”, “0.31 %”, “over 99 %”, “under 0.0001 %”."""
    if 0.995 <= p < 1.0:
        return f"over {format_percent(0.99)}"
    return format_percent(p) if p >= 0.0095 else format_prob(p).replace("<", "under ")


def format_least(p: float) -> str:
    """Format the minimum of several probabilities: “at 34.4 % or more”, “over 99.9 %”."""
    return f"over {format_percent(0.999, 1)}" if 0.9995 <= p < 1.0 else f"at {format_prob(p)} or more"


def digits_for(reach: float) -> int:
    """Return the number of decimals for absolute values up to `reach`: three, or up to nine if all are below 0.1."""
    return 3 if reach >= 0.1 or reach <= 0.0 else min(2 - math.floor(math.log10(reach)), 9)


def format_rare(p: float) -> str:
    """Format a probability as `format_prob`, but below 0.001 % as “3.2e-7 %”, so that rare tokens stay distinct."""
    return f"{format_exponent(100 * p)}\N{NO-BREAK SPACE}%" if 0.0 < p < 1e-5 else format_prob(p)
