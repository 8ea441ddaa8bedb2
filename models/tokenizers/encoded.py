"""A text's tokens as arrays: what stays quick for megabytes, where one object per token does not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from models.tokenizers.pieces import Piece, pieces_of, token_places


class EncodedText(Sequence[Piece]):
    """The tokens of `text`, n of them; each is a Piece when it is asked for.

    Attributes:
        text: what was encoded.
        ids: (n,) their ids.
        starts, ends: (n,) where each lies in the UTF-8 text, in bytes.
        n_bytes: how long that text is.
    """

    def __init__(self, tokenizer: Tokenizer, text: str) -> None:
        ids, starts, ends = token_places(tokenizer, text)
        self.text = text
        self.n_bytes = len(text.encode())
        self.ids: NDArray[np.int64] = np.array(ids, np.int64)
        self.starts: NDArray[np.int64] = np.array(starts, np.int64)
        self.ends: NDArray[np.int64] = np.array(ends, np.int64)
        kinds, self._kind, self._counts = np.unique(self.ids, return_inverse=True, return_counts=True)
        self._kinds = pieces_of(tokenizer, kinds.tolist())
        self._number = {piece.id: i for i, piece in enumerate(self._kinds)}

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

    @property
    def n_kinds(self) -> int:
        """How many different tokens there are."""
        return len(self._kinds)

    def of_each(self, fact: Callable[[Piece], Any], dtype: type) -> NDArray[Any]:
        """(n,) A fact of each token that depends on its id alone, asked for once per different token."""
        facts: NDArray[Any] = np.fromiter(map(fact, self._kinds), dtype, len(self._kinds))
        return facts[self._kind]

    def occurrences(self, id: int) -> int:
        """How often a token occurs."""
        return int(self._counts[self._number[id]]) if id in self._number else 0

    def most_common(self, n: int) -> list[tuple[Piece, int]]:
        """The `n` most frequent tokens with their counts, the first met first among equals."""
        order = np.argsort(-self._counts, kind="stable")[:n]
        return [(self._kinds[i], int(self._counts[i])) for i in order]

    def touching(self, start: int, end: int) -> range:
        """The tokens of the text's bytes `start` to `end`; of none, the one at `start` or before it."""
        if not len(self) or not self.n_bytes:
            return range(0)
        first_byte = min(start, self.n_bytes - 1)
        last_byte = max(end - 1, first_byte)
        first = int(np.searchsorted(self.starts, first_byte, side="right")) - 1
        while first > 0 and self.starts[first - 1] == self.starts[first]:
            first -= 1  # several tokens that spell one character lie at one place
        last = int(np.searchsorted(self.starts, last_byte, side="right")) - 1
        return range(max(first, 0), max(first, last, 0) + 1)
