"""A text on a grid of grapheme clusters, in which the tokens of several tokenizers are aligned. No drawing.

Positions count grapheme clusters: 2.5 is the middle of the third one. Tokens start and end at such positions, even when
a token has only some of the bytes of a character.
"""

from __future__ import annotations

import math
import re
import unicodedata
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Qt
from PySide6.QtGui import QTextLayout, QTextOption
from tokenizers import Tokenizer

from terrarium.app.kit.tokens.glyphs import escape
from terrarium.app.kit.tokens.pill_layout import PillLayout
from terrarium.models.tokenizers.codec import encode_with_offsets, show_bytes
from terrarium.models.tokenizers.special_tokens import unknown_ids

Floats = NDArray[np.float64]
_EMOJI = (
    "\u00a9\u00ae\u203c\u2049\u2122\u2139\u2190-\u21ff\u2300-\u23ff\u2460-\u24ff\u25a0-\u27bf\u2900-\u297f\u2b00-\u2bff"
    "\u3030\u303d\u3297\u3299\U0001f000-\U0001f1e5\U0001f200-\U0001f3fa\U0001f400-\U0001faff"
)
"""Ranges of emoji that a zero-width joiner can join."""
_ALSO_EXTEND = "\u200c\u0e33\u0eb3\uff9e\uff9f\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f\U000e0100-\U000e01ef"
"""Non-marks that extend a cluster: a joiner, Thai and Japanese signs, skin tones, tags."""
_CONJOINING = "\u0915-\u0939\u0958-\u095f\u0995-\u09b9\u0a95-\u0ab9\u0b15-\u0b39\u0c15-\u0c39\u0d15-\u0d3a"
_LINKERS = "\u094d\u09cd\u0acd\u0b4d\u0c4d\u0d4d"
"""Consonants and viramas that form conjuncts in Indic scripts."""


class TextGrid:
    """The n grapheme clusters of a text. Characters in `missing`, which no font has, are shown as code points.

    Attributes:
        text: without lone surrogates.
        edges, byte_edges: (n + 1,) cluster boundaries, in characters and in UTF-8 bytes.
        columns: (n,) widths in columns of the grid.
        ends_line: (n,) whether it is a line break.
        is_rtl: (n,) whether its script runs from right to left.
    """

    def __init__(self, text: str, missing: frozenset[str] = frozenset()) -> None:
        self.text, self._missing = text, missing
        codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
        sizes = 1 + (codes > 0x7F).astype(np.int64) + (codes > 0x7FF) + (codes > 0xFFFF)
        self.edges: NDArray[np.int64] = np.array(cluster_edges(text), np.int64)
        self.byte_edges: NDArray[np.int64] = np.concatenate(([0], np.cumsum(sizes)))[self.edges]
        facts = [self._facts(i) for i in range(len(self))]
        self.columns = np.fromiter((fact[1] for fact in facts), np.int64, len(self))
        self.ends_line = np.fromiter((fact[2] for fact in facts), np.bool_, len(self))
        self.is_rtl = np.fromiter((fact[3] for fact in facts), np.bool_, len(self))

    def __len__(self) -> int:
        return len(self.edges) - 1

    def cluster(self, i: int) -> str:
        """Return the characters of cluster `i`."""
        return self.text[self.edges[i] : self.edges[i + 1]]

    def shown(self, i: int) -> str:
        """Return the display form of cluster `i`, with invisible characters made visible."""
        return self._facts(i)[0]

    def _facts(self, i: int) -> tuple[str, int, bool, bool]:
        facts = _facts(self.cluster(i))
        if self._missing.isdisjoint(facts[0]):
            return facts
        shown = escape(facts[0], self._missing)
        return shown, len(shown), facts[2], False

    def positions(self, bytes_at: NDArray[np.int64]) -> Floats:
        """Return the positions of byte offsets in the UTF-8 text."""
        if not len(self):
            return np.zeros(len(bytes_at))
        i = np.minimum(np.searchsorted(self.byte_edges, bytes_at, side="right") - 1, len(self) - 1)
        start, end = self.byte_edges[i], self.byte_edges[i + 1]
        found: Floats = i + (bytes_at - start) / (end - start)
        return found


class AlignedTokens:
    """The n tokens of one tokenizer for the text of a grid, with special tokens encoded as plain text.

    Attributes:
        tokenizer: the tokenizer.
        ids: (n,) token ids.
        starts, ends: (n,) positions.
        unknown: (n,) whether it is the unknown token.
    """

    def __init__(self, tokenizer: Tokenizer, grid: TextGrid) -> None:
        self.tokenizer = tokenizer
        parts = [
            tuple(np.array(column, np.int64) for column in part)
            for part in encode_with_offsets(tokenizer, grid.text, parse_special=False)
        ]
        self.ids, starts, ends = (
            np.concatenate([np.zeros(0, np.int64), *(part[i] for part in parts)]) for i in range(3)
        )
        self.starts, self.ends = _split_shared(grid.positions(starts), grid.positions(ends))
        self.unknown = np.isin(self.ids, sorted(unknown_ids(tokenizer)))

    def __len__(self) -> int:
        return len(self.ids)

    def touching(self, start: float, end: float) -> range:
        """Return the tokens that overlap a range of positions, including empty ones within it."""
        first = int(np.searchsorted(self.ends, start, side="right"))
        while first > 0 and self.starts[first - 1] == self.ends[first - 1] >= start:
            first -= 1
        return range(first, max(first, int(np.searchsorted(self.starts, end, side="left"))))


def _split_shared(starts: Floats, ends: Floats) -> tuple[Floats, Floats]:
    """Divide the range of consecutive tokens with the same offsets, which together spell one character, among them."""
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
    """Return (display form, columns, whether it ends a line, whether it runs from right to left)."""
    first = cluster[0]
    is_mark = unicodedata.category(first) in ("Mn", "Me")
    if first.isprintable() and first != " " and not is_mark:
        shown, columns = cluster, _width(cluster)
    else:
        shown = show_bytes(cluster.encode())
        columns = 1 if is_mark else len(shown)
    return shown, columns, cluster[-1] == "\n", unicodedata.bidirectional(first) in ("R", "AL")


def _width(cluster: str) -> int:
    """Return the width in columns: 2 for ideographs, emoji and syllables with spacing vowel signs, else 1."""
    is_emoji = "\ufe0f" in cluster or "\u200d" in cluster or 0x1F1E6 <= ord(cluster[0]) <= 0x1F1FF
    if is_emoji or any(unicodedata.east_asian_width(character) in "WF" for character in cluster):
        return 2
    spacing = sum(unicodedata.category(character) not in ("Mn", "Me", "Cf") for character in cluster)
    return min(max(spacing, 1), 2)


def cluster_edges(text: str) -> list[int]:
    """Return the start of each grapheme cluster (UAX #29) in characters, and the length of the text.

    Qt's own boundary finder fails after some scripts and emoji (6.11 breaks every code unit after Devanagari).
    """
    return [0, *(match.end() for match in _pattern().finditer(text))]


@lru_cache(maxsize=1)
def _pattern() -> re.Pattern[str]:
    marks = (chr(code) for code in range(0x300, 0x20000) if unicodedata.category(chr(code)) in ("Mn", "Me", "Mc"))
    extend = f"[{''.join(marks)}{_ALSO_EXTEND}]"
    bases = (
        "[\U0001f1e6-\U0001f1ff]{2}",
        f"[{_EMOJI}](?:{extend}*\u200d[{_EMOJI}])*",
        "[\u1100-\u115f]*[\u1160-\u11a7\uac00-\ud7a3][\u1160-\u11a7]*[\u11a8-\u11ff]*",
        "[\u1100-\u115f]+|[\u11a8-\u11ff]+",
        f"[{_CONJOINING}](?:{extend}*[{_LINKERS}](?:{extend}|\u200d)*[{_CONJOINING}])*",
        "[^\x00-\x1f\x7f-\x9f\xad\u200b\u2028\u2029]",
    )
    return re.compile(f"\r\n|(?:{'|'.join(bases)})(?:{extend}|\u200d)*|.", re.DOTALL)


class GridLine:
    """The clusters `start` to `end` on one line.

    Attributes:
        left: the first column of each cluster, in visual order.
    """

    def __init__(self, grid: TextGrid, start: int, end: int) -> None:
        self.start, self.end = start, end
        self.columns = grid.columns[start:end]
        self._is_straight = not grid.is_rtl[start:end].any()
        order = np.arange(end - start) if self._is_straight else _visual_order(grid, start, end)
        self.left = np.zeros(end - start, np.int64)
        self.left[order] = np.cumsum(self.columns[order]) - self.columns[order]

    @property
    def width(self) -> int:
        """The width in columns."""
        return int(self.columns.sum())

    def column_of(self, position: float) -> float:
        """Return the column of a position within this line (left-to-right text only)."""
        i = min(int(position) - self.start, len(self.left) - 1)
        return float(self.left[i] + (position - self.start - i) * self.columns[i])

    def spans(self, start: float, end: float) -> list[tuple[float, float]]:
        """Return the column ranges between two positions within this line; several in bidirectional text."""
        start, end = max(start, self.start), min(end, self.end)
        if start > end or not len(self.left):
            return []
        if self._is_straight or start == end:
            return [(self.column_of(start), self.column_of(end))]
        found: list[tuple[float, float]] = []
        for i in range(int(start), math.ceil(end)):
            left, width = float(self.left[i - self.start]), int(self.columns[i - self.start])
            found.append((left + max(start - i, 0) * width, left + min(end - i, 1) * width))
        found.sort()
        joined = found[:1]
        for left, right in found[1:]:
            if left <= joined[-1][1]:
                joined[-1] = joined[-1][0], max(right, joined[-1][1])
            else:
                joined.append((left, right))
        return joined

    def cluster_at(self, column: float) -> int | None:
        """Return the cluster in a column, None outside the text."""
        inside = np.flatnonzero((self.left <= column) & (column < self.left + self.columns))
        return self.start + int(inside[0]) if len(inside) else None


class GridLines:
    """The lines of a grid with at most `available` columns; consecutive line breaks end a single line."""

    def __init__(self, grid: TextGrid, available: int) -> None:
        self._grid = grid
        another = np.append(grid.ends_line[1:], [False])[: len(grid)]
        self._layout = PillLayout(grid.columns, grid.ends_line & ~another, available)
        self._made: dict[int, GridLine] = {}

    def __len__(self) -> int:
        return self._layout.n_rows if len(self._grid) else 0

    def __getitem__(self, number: int) -> GridLine:
        if number not in self._made:
            clusters = self._layout.pills_in(number)
            self._made[number] = GridLine(self._grid, clusters.start, clusters.stop)
        return self._made[number]

    def line_of(self, position: float) -> int:
        """Return the line of a position."""
        return self._layout.row_of(min(int(position), len(self._grid) - 1))


def _visual_order(grid: TextGrid, start: int, end: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the clusters of a line from left to right, as laid out by Qt (Unicode bidirectional algorithm)."""
    firsts = [grid.cluster(i)[0] for i in range(start, end)]
    firsts = [first if first.isprintable() else " " for first in firsts]
    layout = QTextLayout("".join(firsts))
    option = QTextOption()
    option.setTextDirection(Qt.LayoutDirection.LeftToRight)
    option.setWrapMode(QTextOption.WrapMode.NoWrap)
    layout.setTextOption(option)
    layout.beginLayout()
    layout.createLine()
    layout.endLayout()
    lefts: list[float] = []
    at = 0
    for first in firsts:
        size = 1 + (ord(first) > 0xFFFF)  # UTF-16 code units
        glyphs = [point.x() for run in layout.glyphRuns(at, size) for point in run.positions()]
        lefts.append(min(glyphs, default=lefts[-1] if lefts else 0.0))
        at += size
    return np.argsort(lefts, kind="stable")
