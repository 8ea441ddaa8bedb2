"""Where two texts differ, found in one pass: the second is the first with little changes all over, however long."""

from __future__ import annotations

from typing import NamedTuple

_BLOCK = 4096
_WINDOWS = ((32, 3), (256, 6), (4096, 16), (65_536, 32))
"""How far to look for where the texts go on alike, and how many characters must be alike there to believe it."""
_LONGEST, _WORTH = 16, 2
"""Of what goes on alike, so many characters count, each as much as so many that are left out."""


class Span(NamedTuple):
    """`a[start:end]` is `b[back_start:back_end]`; all in characters."""

    start: int
    end: int
    back_start: int
    back_end: int


def differing_spans(a: str, b: str, limit: int) -> tuple[list[Span], bool]:
    """The places where `a` and `b` differ, in order, and whether they are all (at most `limit` are looked for).

    Between them the texts are equal, so that replacing each in `a` makes `b`; they need not be the fewest possible.
    """
    end_a, end_b = len(a), len(b)
    start = _alike(a, b, 0, 0)
    while end_a > start and end_b > start and a[end_a - 1] == b[end_b - 1]:
        end_a, end_b = end_a - 1, end_b - 1
    tail = a[end_a : end_a + 2]  # what the texts share behind their last difference
    spans: list[Span] = []
    i = j = start
    while i < end_a or j < end_b:
        if len(spans) == limit:
            return spans, False
        skipped, added = _next_alike(a, b, i, j, end_a, end_b, tail)
        spans.append(Span(i, i + skipped, j, j + added))
        i, j = i + skipped, j + added
        n = min(_alike(a, b, i, j), end_a - i, end_b - j)
        i, j = i + n, j + n
    return spans, True


def _alike(a: str, b: str, i: int, j: int) -> int:
    """How many characters are the same from `a[i]` and `b[j]` on."""
    n, longest = 0, min(len(a) - i, len(b) - j)
    while n < longest and a[i + n : i + n + _BLOCK] == b[j + n : j + n + _BLOCK]:
        n += _BLOCK
    n = min(n, longest)
    while n < longest and a[i + n] == b[j + n]:
        n += 1
    return n


def _next_alike(a: str, b: str, i: int, j: int, end_a: int, end_b: int, tail: str) -> tuple[int, int]:
    """How many characters of each text to leave out until they go on alike; all where they never do."""
    if i == end_a or j == end_b:
        return end_a - i, end_b - j
    # What happens most: other spaces, or one character for another.
    gap_a, gap_b = _spaces(a, i, end_a), _spaces(b, j, end_b)
    if (gap_a or gap_b) and a[i + gap_a : i + gap_a + 1] == b[j + gap_b : j + gap_b + 1]:
        return gap_a, gap_b
    rest_a, rest_b = a[i + 1 : min(i + 3, end_a)] + tail, b[j + 1 : min(j + 3, end_b)] + tail
    if not a[i].isspace() and not b[j].isspace() and rest_a[:2] == rest_b[:2]:
        return 1, 1
    for window, n in _WINDOWS:
        found = _nearest(a[i : min(i + window, end_a)], b[j : min(j + window, end_b)], n)
        if found is not None:
            return found
    return end_a - i, end_b - j


def _spaces(text: str, start: int, end: int) -> int:
    place = start
    while place < end and text[place].isspace():
        place += 1
    return place - start


def _nearest(a: str, b: str, n: int) -> tuple[int, int] | None:
    """The places near by from which both go on alike for `n` characters or, better, for longer."""
    first: dict[str, int] = {}
    for j in range(len(b) - n + 1):
        first.setdefault(b[j : j + n], j)
    best, least = None, len(a) + len(b)
    for i in range(len(a) - n + 1):
        if i - _WORTH * _LONGEST >= least:
            break
        j = first.get(a[i : i + n], -1)
        if j >= 0:
            longest = min(_LONGEST, len(a) - i, len(b) - j)
            alike = next((k for k in range(n, longest) if a[i + k] != b[j + k]), longest)
            if i + j - _WORTH * alike < least:
                best, least = (i, j), i + j - _WORTH * alike
    return best
