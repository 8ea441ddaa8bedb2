"""Unigram (Kudo, arXiv:1804.10959): the lattice of all segmentations of a word, and the most probable one.

Follows `tokenizers` (Rust, models/unigram): scores are natural log-probabilities; an unknown character scores 10 less
than the lowest score.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from terrarium.models.tokenizers.token_bytes import byte_token

_UNKNOWN_PENALTY = 10.0


class LatticePiece(NamedTuple):
    """A piece that matches the characters `start` to `end` of a word. `known`: whether it is in the vocabulary."""

    id: int
    start: int
    end: int
    text: str
    score: float
    known: bool


class ViterbiCell(NamedTuple):
    """The best path up to a position: its score, and the index of its last piece (−1 at the start)."""

    score: float
    piece: int


class Segmentation(NamedTuple):
    """One path through the lattice: indices of its pieces, log-probability, and share of the total probability."""

    pieces: tuple[int, ...]
    score: float
    probability: float


@dataclass(frozen=True, eq=False)
class UnigramSteps:
    """The lattice of one word. `pieces`: by start, then length; `cells`: one per position between characters."""

    word: str
    pieces: tuple[LatticePiece, ...]
    cells: tuple[ViterbiCell, ...]
    ids: tuple[int, ...]

    @property
    def n_steps(self) -> int:
        """The number of steps: one per position for its best path, and one for the backtrace."""
        return len(self.word) + 1 if self.word else 0

    @cached_property
    def best(self) -> tuple[int, ...]:
        """The pieces of the best path, in order."""
        return self.best_path_to(len(self.word))

    @property
    def score(self) -> float:
        """The log-probability of the best path."""
        return self.cells[-1].score

    def best_path_to(self, position: int) -> tuple[int, ...]:
        """Return the pieces of the best path up to a position."""
        path: list[int] = []
        while position > 0:
            path.append(self.cells[position].piece)
            position = self.pieces[path[-1]].start
        return tuple(reversed(path))

    def ending_at(self, position: int) -> list[int]:
        """Return the pieces that end at a position, the best first."""
        return sorted(self._by_end[position], key=lambda i: (i != self.cells[position].piece, -self.score_with(i)))

    def score_with(self, piece: int) -> float:
        """Return the log-probability of the best path that ends with a piece."""
        return self.cells[self.pieces[piece].start].score + self.pieces[piece].score

    def segmentations(self, n: int) -> list[Segmentation]:
        """Return the `n` most probable segmentations, starting with the tokenizer's own."""
        ending = self._by_end
        known: list[list[tuple[float, tuple[int, int]]]] = [[(0.0, (-1, 0))]]
        for position in range(1, len(self.word) + 1):
            offers = (
                (score + self.pieces[i].score, (i, nth))
                for i in ending[position]
                for nth, (score, _) in enumerate(known[self.pieces[i].start])
            )
            known.append(heapq.nlargest(n, offers, key=lambda offer: offer[0]))
        segmentations = [(self._trace(known, nth), score) for nth, (score, _) in enumerate(known[-1])]
        others = [(path, score) for path, score in segmentations if path != self.best]
        chosen = [(self.best, self.score), *others][:n]
        return [Segmentation(path, score, math.exp(score - self.log_sum)) for path, score in chosen]

    @cached_property
    def log_sum(self) -> float:
        """The log of the total probability of all segmentations (forward algorithm)."""
        sums = [0.0]
        for position in range(1, len(self.word) + 1):
            terms = [sums[self.pieces[i].start] + self.pieces[i].score for i in self._by_end[position]]
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
        path: list[int] = []
        position = len(self.word)
        while position > 0:
            piece, nth = known[position][nth][1]
            path.append(piece)
            position = self.pieces[piece].start
        return tuple(reversed(path))


class UnigramTable:
    """Pieces and scores of a Unigram model.

    Args:
        state: the JSON of the model.
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
        """Trace how `word` becomes tokens.

        Raises:
            ValueError: if the tokenizer itself fails: a character is unknown, and there is no unknown token.
        """
        pieces: list[LatticePiece] = []
        cells = [ViterbiCell(0.0, -1)] + [ViterbiCell(-math.inf, -1)] * len(word)
        for start in range(len(word)):
            for piece in self._pieces_at(word, start):
                score = cells[start].score + piece.score
                if cells[piece.end].piece < 0 or score > cells[piece.end].score:
                    cells[piece.end] = ViterbiCell(score, len(pieces))
                pieces.append(piece)
        steps = UnigramSteps(word, tuple(pieces), tuple(cells), ())
        return UnigramSteps(word, steps.pieces, steps.cells, tuple(self._ids_of(steps)))

    def _pieces_at(self, word: str, start: int) -> list[LatticePiece]:
        found = []
        for end in range(start + 1, min(len(word), start + self._longest) + 1):
            id = self._ids.get(word[start:end])
            if id is not None:
                found.append(LatticePiece(id, start, end, word[start:end], self._scores[id], True))
        if found and found[0].end == start + 1:
            return found
        if self._unknown is None:
            raise ValueError(f"This tokenizer does not know {word[start]!r} and has no unknown token: remove it.")
        found.append(LatticePiece(self._unknown, start, start + 1, word[start], self._unknown_score, False))
        return found

    def _ids_of(self, steps: UnigramSteps) -> list[int]:
        """Return the ids of the best path. Adjacent unknown pieces are joined, then looked up or spelled in bytes."""
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
