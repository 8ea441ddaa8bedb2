"""What is pointed at in a text that several tokenizers cut: a token of one of them, and what the others have there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.tokenizer.compare.text_grid import AlignedTokens, TextGrid
from models.tokenizers.codec import pieces_of

_MAX_NAMED = 6
"""Tokens of one tokenizer that are named; of more, only the number is said."""


@dataclass(frozen=True)
class AlignedRow:
    """One tokenizer's row: its name, the number of its colour, its tokens."""

    name: str
    colour: int
    tokens: AlignedTokens


@dataclass(frozen=True)
class Spot:
    """Token `token` of row `row`, between two places; -1 where that row has no token there."""

    row: int
    token: int
    start: float
    end: float


def token_spot(rows: Sequence[AlignedRow], row: int, token: int) -> Spot:
    """The spot of a token."""
    tokens = rows[row].tokens
    return Spot(row, token, float(tokens.starts[token]), float(tokens.ends[token]))


def spot_at(rows: Sequence[AlignedRow], row: int, place: float) -> Spot:
    """The token at a place, or the character there that no token of that row stands for."""
    tokens = rows[row].tokens
    for token in tokens.touching(place, place + 1e-6):
        if tokens.starts[token] <= place < tokens.ends[token]:
            return token_spot(rows, row, token)
    return Spot(row, -1, float(int(place)), float(int(place) + 1))


def describe_spot(grid: TextGrid, rows: Sequence[AlignedRow], spot: Spot) -> list[str]:
    """The characters of a spot, then what each tokenizer makes of them, a line each."""
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
