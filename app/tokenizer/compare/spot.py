"""A spot in a text of several tokenizers: a token of one of them, and the others' tokens there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from terrarium.app.tokenizer.compare.text_grid import AlignedTokens, TextGrid
from terrarium.models.tokenizers.codec import pieces_of

_MAX_NAMED = 6
"""Up to this many tokens of one tokenizer are listed; beyond, only their number is shown."""


@dataclass(frozen=True)
class AlignedRow:
    """The row of one tokenizer: its name, its colour index, and its tokens."""

    name: str
    colour: int
    tokens: AlignedTokens


@dataclass(frozen=True)
class Spot:
    """Token `token` of row `row`, between two positions; -1 if the row has no token there."""

    row: int
    token: int
    start: float
    end: float


def token_spot(rows: Sequence[AlignedRow], row: int, token: int) -> Spot:
    """Return the spot of a token."""
    tokens = rows[row].tokens
    return Spot(row, token, float(tokens.starts[token]), float(tokens.ends[token]))


def spot_at(rows: Sequence[AlignedRow], row: int, position: float) -> Spot:
    """Return the token at a position, or the character there if no token of that row covers it."""
    tokens = rows[row].tokens
    for token in tokens.touching(position, position + 1e-6):
        if tokens.starts[token] <= position < tokens.ends[token]:
            return token_spot(rows, row, token)
    return Spot(row, -1, float(int(position)), float(int(position) + 1))


def describe_spot(grid: TextGrid, rows: Sequence[AlignedRow], spot: Spot) -> list[str]:
    """Describe a spot: its characters, then the tokens of each tokenizer there, one line each."""
    first, last = int(spot.start), max(int(spot.start), -int(-spot.end // 1) - 1)
    shown = "".join(grid.shown(i) for i in range(first, min(last + 1, len(grid))))
    return [f"“{shown}”", *(f"{row.name}: {_format_tokens(row.tokens, spot)}" for row in rows)]


def _format_tokens(tokens: AlignedTokens, spot: Spot) -> str:
    there = tokens.touching(spot.start, max(spot.end, spot.start + 1e-6))
    if not there:
        return "no token"
    if len(there) > _MAX_NAMED:
        return f"{len(there)} tokens"
    ids = tokens.ids[there.start : there.stop].tolist()
    return " + ".join(f"{piece.display} {piece.id}" for piece in pieces_of(tokens.tokenizer, ids))
