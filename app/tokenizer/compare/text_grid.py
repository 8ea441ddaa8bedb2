"""A text on a grid of columns: what people see as one character is one place, whatever it is made of. Nothing is drawn.

Places count grapheme clusters: 2.5 is the middle of the third one. Tokens begin and end at places, so those of several
tokenizers line up, also where a token holds only some of the bytes of a character.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from app.tokenizer.compare.clusters import cluster_edges
from models.tokenizers.codec import placed_parts, show_bytes
from models.tokenizers.special_tokens import unknown_ids

Floats = NDArray[np.float64]


class TextGrid:
    """The n grapheme clusters of a text.

    Attributes:
        text: without lone surrogates.
        edges: (n + 1,) where each begins, in characters; byte_edges: in UTF-8 bytes.
        columns: (n,) how wide each is, in columns of the grid.
        ends_line: (n,) where a line break is.
        is_rtl: (n,) of a script that runs from right to left.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
        sizes = 1 + (codes > 0x7F).astype(np.int64) + (codes > 0x7FF) + (codes > 0xFFFF)
        self.edges: NDArray[np.int64] = np.array(cluster_edges(text), np.int64)
        self.byte_edges: NDArray[np.int64] = np.concatenate(([0], np.cumsum(sizes)))[self.edges]
        facts = [_facts(self.cluster(i)) for i in range(len(self))]
        self.columns = np.fromiter((fact[1] for fact in facts), np.int64, len(self))
        self.ends_line = np.fromiter((fact[2] for fact in facts), np.bool_, len(self))
        self.is_rtl = np.fromiter((fact[3] for fact in facts), np.bool_, len(self))

    def __len__(self) -> int:
        return len(self.edges) - 1

    def cluster(self, i: int) -> str:
        """The characters of cluster `i`."""
        return self.text[self.edges[i] : self.edges[i + 1]]

    def shown(self, i: int) -> str:
        """How cluster `i` is shown: what cannot be seen by a sign or by its number."""
        return _facts(self.cluster(i))[0]

    def places(self, bytes_at: NDArray[np.int64]) -> Floats:
        """The places of bytes of the UTF-8 text."""
        if not len(self):
            return np.zeros(len(bytes_at))
        i = np.minimum(np.searchsorted(self.byte_edges, bytes_at, side="right") - 1, len(self) - 1)
        start, end = self.byte_edges[i], self.byte_edges[i + 1]
        found: Floats = i + (bytes_at - start) / (end - start)
        return found


class AlignedTokens:
    """The n tokens that one tokenizer makes of a grid's text, as text: special tokens in it are its characters.

    Attributes:
        tokenizer: what made them.
        ids: (n,).
        starts, ends: (n,) places.
        unknown: (n,) where one stands for what the tokenizer does not know.
    """

    def __init__(self, tokenizer: Tokenizer, grid: TextGrid) -> None:
        self.tokenizer = tokenizer
        parts = [
            tuple(np.array(column, np.int64) for column in part)
            for part in placed_parts(tokenizer, grid.text, parse_special=False)
        ]
        self.ids, starts, ends = (
            np.concatenate([np.zeros(0, np.int64), *(part[i] for part in parts)]) for i in range(3)
        )
        self.starts, self.ends = _side_by_side(grid.places(starts), grid.places(ends))
        self.unknown = np.isin(self.ids, sorted(unknown_ids(tokenizer)))

    def __len__(self) -> int:
        return len(self.ids)

    def touching(self, start: float, end: float) -> range:
        """The tokens between two places; those without a length where they lie between them."""
        first = int(np.searchsorted(self.ends, start, side="right"))
        while first > 0 and self.starts[first - 1] == self.ends[first - 1] >= start:
            first -= 1
        return range(first, max(first, int(np.searchsorted(self.starts, end, side="left"))))


def _side_by_side(starts: Floats, ends: Floats) -> tuple[Floats, Floats]:
    """Tokens that spell one character together and are said to lie at one place: each gets a part of it."""
    if not len(starts):
        return starts, ends
    is_new = np.concatenate(([True], (starts[1:] != starts[:-1]) | (ends[1:] != ends[:-1])))
    run = np.cumsum(is_new) - 1
    first = np.flatnonzero(is_new)
    nth, size = np.arange(len(starts)) - first[run], np.bincount(run)[run]
    width = (ends - starts) / size
    begin = starts + nth * width
    return begin, np.where(nth + 1 == size, ends, begin + width)


@lru_cache(maxsize=65_536)
def _facts(cluster: str) -> tuple[str, int, bool, bool]:
    """How to show it, its columns, whether it ends a line, whether it runs from right to left."""
    first = cluster[0]
    is_mark = unicodedata.category(first) in ("Mn", "Me")
    if first.isprintable() and first != " " and not is_mark:
        shown, columns = cluster, _width(cluster)
    else:
        shown = show_bytes(cluster.encode())
        columns = 1 if is_mark else len(shown)
    return shown, columns, cluster[-1] == "\n", unicodedata.bidirectional(first) in ("R", "AL")


def _width(cluster: str) -> int:
    """1, or 2 for what takes the room of two letters: ideographs, emoji, syllables with vowel signs beside them."""
    is_emoji = "\ufe0f" in cluster or "\u200d" in cluster or 0x1F1E6 <= ord(cluster[0]) <= 0x1F1FF
    if is_emoji or any(unicodedata.east_asian_width(character) in "WF" for character in cluster):
        return 2
    spacing = sum(unicodedata.category(character) not in ("Mn", "Me", "Cf") for character in cluster)
    return min(max(spacing, 1), 2)
