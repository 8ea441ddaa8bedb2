"""The cells of the table of a vocabulary: columns whose records are rows of the vocabulary."""

from __future__ import annotations

import numpy as np

from terrarium.app.kit.record_table import Column
from terrarium.app.kit.tokens.glyphs import Glyphs
from terrarium.models.number_words import with_minus
from terrarium.models.tokenizers.vocabulary.token_counts import USE_NAMES, USES, Usage
from terrarium.models.tokenizers.vocabulary.token_types import TYPES
from terrarium.models.tokenizers.vocabulary.vocabulary import Vocabulary, VocabularyEntry

TITLES = {
    "id": ("Id", "The token's number: all that the model sees of it"),
    "token": (
        "Token",
        "Its text, with · for a space, ⏎ for a line break, ⟨E2⟩ for a byte that is not a whole character",
    ),
    "bytes": ("Bytes", "Its UTF-8 bytes in hexadecimal"),
    "length": ("Length", "Its number of bytes"),
    "type": ("Type", "Its type"),
    "count": ("Count", "How often it occurs in the corpus"),
    "made": ("Merge", "The two tokens that it is merged from; sorts by rank"),
}
"""Column -> (title, tooltip)."""

_SCORE = ("Score", "Its log-probability in the tokenizer")
DESCENDING_FIRST = ("length", "count")
"""Columns that sort in descending order first."""

_RIGHT = ("id", "length", "count")
_MAX_CHARACTERS, _MAX_BYTES = 120, 40  # limits for the text of a cell


class TokenCells:
    """The texts of a vocabulary's rows. glyphs: says which characters can be drawn."""

    def __init__(self, vocabulary: Vocabulary, usage: Usage | None, glyphs: Glyphs) -> None:
        self.vocabulary, self.usage, self.glyphs = vocabulary, usage, glyphs

    def columns(self) -> list[Column]:
        """Return the columns; without counts or merges, if there are none."""
        has_made = self.vocabulary.n_merges > 0 or self.vocabulary.scores is not None
        left_out = {"count"} if self.usage is None else set()
        return [self._column(name) for name in TITLES if name not in left_out and (name != "made" or has_made)]

    def _column(self, name: str) -> Column:
        has_scores = self.vocabulary.scores is not None
        title, about = _SCORE if name == "made" and has_scores else TITLES[name]
        return Column(
            name=name,
            title=title,
            about=f"{about}. Click to sort",
            value=lambda row: self.text(name, row),
            tip=lambda row: self.tip(name, row),
            is_number=name in _RIGHT or (name == "made" and self.vocabulary.n_merges == 0),
            mono=0.0 if name == "type" else 0.95,
            tone=lambda row: "muted" if name in ("bytes", "type") or not self.vocabulary.reachable[row] else "",
            falls=name in DESCENDING_FIRST,
        )

    def text(self, name: str, row: int) -> str:
        """Return the text of a cell."""
        table = self.vocabulary
        if name == "id":
            return f"{table.ids[row]}"
        if name == "token":
            return self.glyphs.drawable(table.shown[row][:_MAX_CHARACTERS])
        if name == "bytes":
            return format_hex(table.data[row])
        if name == "length":
            return f"{table.n_bytes[row]}"
        if name == "type":
            return table[row].type.capitalize()
        if name == "count":
            return "" if self.usage is None else f"{self.usage.counts[row]:,}"
        return self.glyphs.drawable(format_origin(table, table[row]))

    def tip(self, name: str, row: int) -> str:
        """Return the tooltip of a cell, "" for none."""
        token = self.vocabulary[row]
        if name == "type":
            return TYPES[token.type]
        if name == "count" and self.usage is not None:
            return USES[USE_NAMES[self.usage.uses[row]]]
        if name == "made" and token.rank >= 0:
            return f"Merge {token.rank + 1:,} of {self.vocabulary.n_merges:,}"
        if name in ("token", "bytes") and not token.reachable:
            return USES["unreachable"]
        return ""


def format_hex(data: bytes) -> str:
    """Format bytes in hexadecimal, shortened if there are many."""
    return data[:_MAX_BYTES].hex(" ").upper() + (" …" if len(data) > _MAX_BYTES else "")


def format_origin(vocabulary: Vocabulary, token: VocabularyEntry) -> str:
    """Format the merge of a token (“in + ter”), or its score; "" if it has neither."""
    if token.score is not None:
        return "" if np.isnan(token.score) else with_minus(f"{token.score:.3f}")
    if token.rank < 0:
        return ""
    parts = (vocabulary.shown[vocabulary.row_of(id)][:_MAX_CHARACTERS] for id in (token.left, token.right))
    return " + ".join(parts)


def copied_text(token: VocabularyEntry) -> str:
    """Return the clipboard text of a token."""
    return token.bytes.hex(" ").upper() if token.text is None else token.text
