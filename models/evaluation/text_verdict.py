"""A verdict in words on a model of the user's own text, from its comparison with gzip and tables. No torch import."""

from __future__ import annotations

from terrarium.models.events import TextCompared
from terrarium.models.number_words import format_few, format_size

BEYOND, EQUAL, BEHIND, UNGROWN = "beyond", "equal", "behind", "ungrown"
"""Verdicts: better than the best n-gram table, as good, better than the 3-gram only, or not even that."""
SMALL_BYTES = 200_000
"""Bytes below which a model from scratch must read its text many times before it is better than a table."""
_EQUAL_SHARE = 0.005
GZIP, TRIGRAM = "gzip", "a table of the last two letters"


def verdict_of(compared: TextCompared) -> str:
    """Return the verdict for a comparison that includes a model."""
    assert compared.model is not None
    if compared.model < (1 - _EQUAL_SHARE) * compared.table:
        return BEYOND
    if compared.model <= (1 + _EQUAL_SHARE) * compared.table:
        return EQUAL
    return BEHIND if compared.model < compared.trigram else UNGROWN


def title_of(compared: TextCompared) -> str:
    """Return what follows “Your model” in a headline that claims no more than was measured."""
    return {
        BEYOND: "has grown",
        EQUAL: "has grown",
        BEHIND: "is half grown",
        UNGROWN: "has hardly begun to grow",
    }[verdict_of(compared)]


def sentence_of(compared: TextCompared) -> str:
    """Describe how good the model is and, if it is no better than a table, what helps."""
    sentence = {
        BEYOND: "It predicts text it has never seen better than the best table of letters.",
        EQUAL: "It predicts text it has never seen as well as the best table of letters.",
        BEHIND: "It predicts text it has never seen better than a table of the last two letters, but a table of the "
        f"last {format_few(compared.table_order - 1, 'letter')} is still better.",
        UNGROWN: "Even a table of the last two letters predicts your text better: what it writes is hardly more than "
        "noise.",
    }[verdict_of(compared)]
    return f"{sentence} {_remedy(compared)}".rstrip()


def _remedy(compared: TextCompared) -> str:
    if verdict_of(compared) in (BEYOND, EQUAL):
        return ""
    if compared.n_train < SMALL_BYTES:
        return (
            f"{format_size(compared.n_train)} of text is little to learn a language from: use more text, or fine-tune "
            "a published model on it."
        )
    return "Train it longer."


def table_words(order: int) -> str:
    """Describe a byte n-gram model of that order."""
    return f"a table of what followed the last {format_few(order - 1, 'letter')}"


def short_table_words(order: int) -> str:
    """Describe it in fewer words, for a line of a chart."""
    return f"a table of the last {format_few(order - 1, 'letter')}"


def short_words(compared: TextCompared) -> str:
    """Summarise the comparison in half a line, for a list of models."""
    return f"{compared.model:.2f} bits per byte of unseen text; the best table of letters: {compared.table:.2f}"
