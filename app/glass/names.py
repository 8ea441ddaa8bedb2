"""What tokens and log-probabilities are called on screen. No widgets."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from models.number_words import percent
from models.tokenizers.codec import decode, pieces_of

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def token_names(tokenizer: Tokenizer | None, ids: Iterable[int]) -> dict[int, str]:
    """The tokens as they are shown, those that the tokenizer does not know, and all without one, by their numbers.

    A model may have a larger vocabulary than its tokenizer.
    """
    names = {id: f"#{id}" for id in ids}
    if tokenizer is not None:
        known = [id for id in names if tokenizer.id_to_token(id) is not None]
        names |= {piece.id: piece.display for piece in pieces_of(tokenizer, known)}
    return names


def text_of(tokenizer: Tokenizer, ids: Iterable[int]) -> str:
    """The text of the ids, special tokens written out; those that the tokenizer does not know by their numbers."""
    groups = itertools.groupby(ids, key=lambda id: tokenizer.id_to_token(id) is not None)
    return "".join(decode(tokenizer, run) if known else "".join(f"#{id}" for id in run) for known, run in groups)


def quoted(word: str) -> str:
    """A token in running text."""
    return f"“{word}”"


def signed(value: float, digits: int = 2) -> str:
    """“+1.20”, “−0.35”, “0.00”."""
    words = f"{value:+.{digits}f}".replace("-", "−")
    return words.lstrip("+−") if not words.strip("+−0.") else words


def digits_for(reach: float) -> int:
    """So many decimals that amounts up to `reach` can be told apart: three, and more where all are tiny."""
    return 3 if reach >= 0.1 or reach <= 0.0 else min(2 - math.floor(math.log10(reach)), 9)


def share(p: float) -> str:
    """A probability in two digits or more: “41.2 %”, “0.31 %”, “0.0042 %”, “<0.0001 %”, “>99.9 %”."""
    if 0.9995 <= p < 1.0:
        return f">{percent(0.999, 1)}"
    if p < 1e-6:
        return f"{'<' if p > 0.0 else ''}{percent(1e-6 if p > 0.0 else 0.0, 4 if p > 0.0 else 0)}"
    rounded = float(f"{100 * p:.1e}")  # to two digits, so that 0.999 % is 1.0 %
    return percent(p, 1 if rounded >= 1 else min(4, 1 - math.floor(math.log10(rounded))))
