"""Unigram: all ways to put a word together from pieces, as a lattice, and the most probable one (arXiv:1804.10959).

Checked against `tokenizers` (Rust, models/unigram): scores are natural logarithms of probabilities; a character that
is no piece is unknown, at 10 less than the least score.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from models.tokenizers.token_bytes import byte_token

_UNKNOWN_PENALTY = 10.0


class LatticePiece(NamedTuple):
    """A piece that fits at a place of a word: characters `start` to `end`. `known`: whether it is in the vocabulary."""

    id: int
    start: int
    end: int
    text: str
    score: float
    known: bool


class Place(NamedTuple):
    """The best way up to a place: its score, and the last piece of it (an index, −1 at the word's beginning)."""

    score: float
    piece: int


class Way(NamedTuple):
    """One way through the lattice: indices of its pieces, log-probability, and share of all ways' probability."""

    pieces: tuple[int, ...]
    score: float
    probability: float


@dataclass(frozen=True, eq=False)
class UnigramSteps:
    """The lattice of one word. `pieces`: by their start, then their length; `places`: one per border of characters."""

    word: str
    pieces: tuple[LatticePiece, ...]
    places: tuple[Place, ...]
    ids: tuple[int, ...]

    @property
    def n_steps(self) -> int:
        """One for each place that the best way to is found, and one for going back along it."""
        return len(self.word) + 1 if self.word else 0

    @cached_property
    def best(self) -> tuple[int, ...]:
        """The pieces of the best way, in order."""
        return self.way_to(len(self.word))

    @property
    def score(self) -> float:
        """The best way's log-probability."""
        return self.places[-1].score

    def way_to(self, place: int) -> tuple[int, ...]:
        """The pieces of the best way up to a place."""
        way: list[int] = []
        while place > 0:
            way.append(self.places[place].piece)
            place = self.pieces[way[-1]].start
        return tuple(reversed(way))

    def ending_at(self, place: int) -> list[int]:
        """The pieces that end at a place, the best first."""
        return sorted(self._by_end[place], key=lambda i: (i != self.places[place].piece, -self.score_with(i)))

    def score_with(self, piece: int) -> float:
        """The log-probability of the best way that ends in a piece."""
        return self.places[self.pieces[piece].start].score + self.pieces[piece].score

    def ways(self, n: int) -> list[Way]:
        """The `n` most probable ways, the tokenizer's own first."""
        ending = self._by_end
        known: list[list[tuple[float, tuple[int, int]]]] = [[(0.0, (-1, 0))]]
        for place in range(1, len(self.word) + 1):
            offers = (
                (score + self.pieces[i].score, (i, nth))
                for i in ending[place]
                for nth, (score, _) in enumerate(known[self.pieces[i].start])
            )
            known.append(heapq.nlargest(n, offers, key=lambda offer: offer[0]))
        ways = [(self._trace(known, nth), score) for nth, (score, _) in enumerate(known[-1])]
        others = [(way, score) for way, score in ways if way != self.best]
        chosen = [(self.best, self.score), *others][:n]
        return [Way(way, score, math.exp(score - self.log_sum)) for way, score in chosen]

    @cached_property
    def log_sum(self) -> float:
        """The logarithm of all ways' probabilities together (the forward algorithm)."""
        sums = [0.0]
        for place in range(1, len(self.word) + 1):
            terms = [sums[self.pieces[i].start] + self.pieces[i].score for i in self._by_end[place]]
            top = max(terms)
            sums.append(top + math.log(sum(math.exp(term - top) for term in terms)))
        return sums[-1]

    @cached_property
    def _by_end(self) -> list[list[int]]:
        ending: list[list[int]] = [[] for _ in range(len(self.word) + 1)]
        for i, piece in enumerate(self.pieces):
            ending[piece.end].append(i)
        return ending

    def _trace(self, known: Sequence[Sequence[tuple[float, tuple[int, int]]]], nth: int) -> tuple[int, ...]:
        way: list[int] = []
        place = len(self.word)
        while place > 0:
            piece, nth = known[place][nth][1]
            way.append(piece)
            place = self.pieces[piece].start
        return tuple(reversed(way))


class UnigramTable:
    """Pieces and scores of a Unigram model.

    Args:
        state: the model's own JSON.
    """

    def __init__(self, state: dict[str, Any]) -> None:
        scored = [(str(token), float(score)) for token, score in state["vocab"]]
        self._ids = {token: id for id, (token, _) in enumerate(scored)}
        self._scores = [score for _, score in scored]
        self._unknown: int | None = state["unk_id"]
        self._spells_bytes = bool(state.get("byte_fallback"))
        self._longest = max(map(len, self._ids), default=0)
        self._unknown_score = min(self._scores, default=0.0) - _UNKNOWN_PENALTY

    def steps(self, word: str) -> UnigramSteps:
        """How `word` becomes tokens.

        Raises:
            ValueError: where the tokenizer itself fails: a character is unknown, and it has no token for that.
        """
        pieces: list[LatticePiece] = []
        places = [Place(0.0, -1)] + [Place(-math.inf, -1)] * len(word)
        for start in range(len(word)):
            for piece in self._pieces_at(word, start):
                score = places[start].score + piece.score
                if places[piece.end].piece < 0 or score > places[piece.end].score:
                    places[piece.end] = Place(score, len(pieces))
                pieces.append(piece)
        steps = UnigramSteps(word, tuple(pieces), tuple(places), ())
        return UnigramSteps(word, steps.pieces, steps.places, tuple(self._ids_of(steps)))

    def _pieces_at(self, word: str, start: int) -> list[LatticePiece]:
        found = []
        for end in range(start + 1, min(len(word), start + self._longest) + 1):
            id = self._ids.get(word[start:end])
            if id is not None:
                found.append(LatticePiece(id, start, end, word[start:end], self._scores[id], True))
        if found and found[0].end == start + 1:
            return found
        if self._unknown is None:
            raise ValueError(
                f"This tokenizer does not know {word[start]!r}, and has no token for what is unknown: leave it out."
            )
        found.append(LatticePiece(self._unknown, start, start + 1, word[start], self._unknown_score, False))
        return found

    def _ids_of(self, steps: UnigramSteps) -> list[int]:
        """The ids of the best way. Unknown pieces side by side are looked up, spelled in bytes or unknown as one."""
        ids: list[int] = []
        best = [steps.pieces[i] for i in steps.best]
        for is_unknown, run in itertools.groupby(best, key=lambda piece: piece.id == self._unknown):
            texts = [piece.text for piece in run]
            for text in ["".join(texts)] if is_unknown else texts:
                ids += self._ids_of_piece(text)
        return ids

    def _ids_of_piece(self, text: str) -> list[int]:
        if text in self._ids:
            return [self._ids[text]]
        spelled = [self._ids.get(byte_token(byte)) for byte in text.encode()] if self._spells_bytes else [None]
        known = [id for id in spelled if id is not None]
        if len(known) == len(spelled):
            return known
        assert self._unknown is not None
        return [self._unknown]
