"""The tokens of a text as arrays, which stay fast for megabytes, unlike one object per token."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from terrarium.models.tokenizers.codec import Piece, encode_with_offsets, pieces_of

_BATCH_SIZE = 10_000
_WORD = re.compile(r"\S+")


class TokenArrays(Sequence[Piece]):
    """n tokens; a Piece is created when an item is accessed.

    Attributes:
        ids: (n,) their ids.
        starts, ends: (n,) byte offsets in the UTF-8 text.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        ids: NDArray[np.int64],
        starts: NDArray[np.int64] | None = None,
        ends: NDArray[np.int64] | None = None,
    ) -> None:
        """Without `starts` and `ends`, the tokens lie one after the other."""
        self.ids = ids
        counts = np.bincount(ids)
        kinds = np.flatnonzero(counts)
        number = np.zeros(len(counts), np.int64)
        number[kinds] = np.arange(len(kinds))
        self._kind, self._counts = number[ids], counts[kinds]
        self._kinds = pieces_of(tokenizer, kinds.tolist())
        self._number = {piece.id: i for i, piece in enumerate(self._kinds)}
        lengths = self.per_token(lambda piece: len(piece.bytes), np.int64)
        self.ends: NDArray[np.int64] = np.cumsum(lengths) if ends is None else ends
        self.starts: NDArray[np.int64] = self.ends - lengths if starts is None else starts

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, index: int) -> Piece: ...
    @overload
    def __getitem__(self, index: slice) -> list[Piece]: ...
    def __getitem__(self, index: int | slice) -> Piece | list[Piece]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        piece: Piece = self._kinds[self._kind[index]]
        return piece._replace(start=int(self.starts[index]), end=int(self.ends[index]))

    def iter_ids(self) -> Iterator[int]:
        """Yield the ids as ints, without a list of all of them."""
        for start in range(0, len(self.ids), _BATCH_SIZE):
            yield from self.ids[start : start + _BATCH_SIZE].tolist()

    def per_token(self, fact: Callable[[Piece], Any], dtype: type) -> NDArray[Any]:
        """Return (n,) a property of each token that depends only on its id, computed once per distinct token."""
        facts: NDArray[Any] = np.fromiter(map(fact, self._kinds), dtype, len(self._kinds))
        values: NDArray[Any] = facts[self._kind]
        return values

    def occurrences(self, id: int) -> int:
        """Return how often a token occurs."""
        return int(self._counts[self._number[id]]) if id in self._number else 0

    def most_common(self, n: int) -> list[tuple[Piece, int]]:
        """Return the `n` most frequent tokens with their counts."""
        order = np.argsort(-self._counts, kind="stable")[:n]
        return [(self._kinds[i], int(self._counts[i])) for i in order]

    def joined(self) -> bytes:
        """Return the concatenated bytes of all tokens."""
        parts = (self._kind[start : start + _BATCH_SIZE].tolist() for start in range(0, len(self), _BATCH_SIZE))
        return b"".join(b"".join([self._kinds[kind].bytes for kind in part]) for part in parts)


class EncodedText(TokenArrays):
    """The tokens of `text`, with their byte offsets.

    Attributes:
        text: the text that was encoded.
        n_bytes, n_words: its length; words are separated by white space.
    """

    def __init__(self, tokenizer: Tokenizer, text: str) -> None:
        self.text = text
        self.n_bytes = len(text.encode())
        self.n_words = sum(1 for _ in _WORD.finditer(text))
        # In parts, so that no list is long: creating millions of objects at once would block the window.
        parts = [tuple(np.array(column, np.int64) for column in part) for part in encode_with_offsets(tokenizer, text)]
        ids, starts, ends = (np.concatenate([np.zeros(0, np.int64), *(part[i] for part in parts)]) for i in range(3))
        super().__init__(tokenizer, ids, starts, ends)

    def touching(self, start: int, end: int) -> range:
        """Return the tokens that overlap bytes `start` to `end`; for an empty range, the token at `start` or before."""
        if not len(self) or not self.n_bytes:
            return range(0)
        first_byte = min(start, self.n_bytes - 1)
        last_byte = max(end - 1, first_byte)
        first = int(np.searchsorted(self.starts, first_byte, side="right")) - 1
        while first > 0 and self.starts[first - 1] == self.starts[first]:
            first -= 1  # several tokens of one character have the same offsets
        last = int(np.searchsorted(self.starts, last_byte, side="right")) - 1
        return range(max(first, 0), max(first, last, 0) + 1)
