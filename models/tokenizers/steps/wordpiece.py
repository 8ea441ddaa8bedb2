"""WordPiece (Wu et al., arXiv:1609.08144), lookup by lookup: greedy longest-match-first from left to right.

Follows `tokenizers` (Rust, models/wordpiece).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple


class Scan(NamedTuple):
    """The lookups at one position of a word: pieces from long to short until one is in the vocabulary.

    end: the end of the piece found; equal to `start`, with id None, if no piece matches.
    """

    start: int
    end: int
    id: int | None


class Trial(NamedTuple):
    """One piece that was looked up; `id` is None if it is not in the vocabulary."""

    start: int
    end: int
    piece: str
    id: int | None


@dataclass(frozen=True, eq=False)
class WordPieceSteps:
    """The scans of one word. `longest`: words of more characters become unknown without a scan."""

    word: str
    scans: tuple[Scan, ...]
    unknown_id: int | None
    prefix: str
    longest: int

    @property
    def is_too_long(self) -> bool:
        """Whether the word was too long to be scanned."""
        return len(self.word) > self.longest

    @property
    def is_unknown(self) -> bool:
        """Whether the word as a whole becomes the unknown token."""
        return self.is_too_long or any(scan.id is None for scan in self.scans)

    @property
    def n_steps(self) -> int:
        """The number of lookups."""
        return sum(self._n_tries(scan) for scan in self.scans)

    @property
    def ids(self) -> tuple[int, ...]:
        """The ids of the word's tokens."""
        if not self.is_unknown:
            return tuple(scan.id for scan in self.scans if scan.id is not None)
        assert self.unknown_id is not None
        return (self.unknown_id,)

    def tried(self, step: int) -> Trial:
        """Return lookup number `step`, from 1."""
        for scan in self.scans:
            n = self._n_tries(scan)
            if step <= n:
                end = len(self.word) - step + 1
                piece = (self.prefix if scan.start else "") + self.word[scan.start : end]
                return Trial(scan.start, end, piece, scan.id if end == scan.end else None)
            step -= n
        raise AssertionError("There is no such step.")

    def _n_tries(self, scan: Scan) -> int:
        return len(self.word) - (scan.start if scan.id is None else scan.end - 1)


class WordPieceTable:
    """Vocabulary of a WordPiece model.

    Args:
        vocabulary: token → id.
        state: the JSON of the model.
    """

    def __init__(self, vocabulary: dict[str, int], state: dict[str, Any]) -> None:
        self._ids = vocabulary
        self._prefix: str = state["continuing_subword_prefix"]
        self._unknown: str = state["unk_token"]
        self._longest: int = state["max_input_chars_per_word"]
        self._longest_piece = max(map(len, vocabulary), default=0)

    def steps(self, word: str) -> WordPieceSteps:
        """Trace how `word` becomes tokens.

        Raises:
            ValueError: if the tokenizer itself fails: the word is unknown, and there is no unknown token.
        """
        scans: list[Scan] = []
        start = 0
        while start < len(word) <= self._longest:
            scan = self._scan(word, start)
            scans.append(scan)
            if scan.id is None:
                break
            start = scan.end
        steps = WordPieceSteps(word, tuple(scans), self._ids.get(self._unknown), self._prefix, self._longest)
        if steps.is_unknown and steps.unknown_id is None:
            raise ValueError(
                f"The unknown token {self._unknown!r} of this tokenizer is not in its vocabulary: correct its file."
            )
        return steps

    def _scan(self, word: str, start: int) -> Scan:
        prefix = self._prefix if start else ""
        # Lookups of longer pieces count as steps, but cannot succeed.
        for end in range(min(len(word), start + self._longest_piece), start, -1):
            id = self._ids.get(prefix + word[start:end])
            if id is not None:
                return Scan(start, end, id)
        return Scan(start, start, None)
