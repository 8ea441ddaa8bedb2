"""Differences between two texts, found in one pass: for long texts with many small changes."""

from __future__ import annotations

from typing import NamedTuple

_BLOCK = 4096
_WINDOWS = ((32, 3), (256, 6), (4096, 16), (65_536, 32))
"""(search distance, how many characters must match there), tried one after the other to resynchronise."""
_MAX_MATCH, _MATCH_WEIGHT = 16, 2
"""For the score of a resynchronisation: the most matching characters that count, and the skipped ones each offsets."""


class Span(NamedTuple):
    """`a[start:end]` corresponds to `b[back_start:back_end]`, in characters."""

    start: int
    end: int
    back_start: int
    back_end: int


def differing_spans(a: str, b: str, limit: int) -> tuple[list[Span], bool]:
    """Return (spans where `a` and `b` differ, in order; whether these are all), at most `limit` spans.

    Between them the texts are equal, so replacing each in `a` gives `b`. They need not be minimal.
    """
    end_a, end_b = len(a), len(b)
    start = _common_prefix_length(a, b, 0, 0)
    while end_a > start and end_b > start and a[end_a - 1] == b[end_b - 1]:
        end_a, end_b = end_a - 1, end_b - 1
    tail = a[end_a : end_a + 2]  # the common text after the last difference
    spans: list[Span] = []
    i = j = start
    while i < end_a or j < end_b:
        if len(spans) == limit:
            return spans, False
        skipped, added = _resynchronise(a, b, i, j, end_a, end_b, tail)
        spans.append(Span(i, i + skipped, j, j + added))
        i, j = i + skipped, j + added
        n = min(_common_prefix_length(a, b, i, j), end_a - i, end_b - j)
        i, j = i + n, j + n
    return spans, True


def _common_prefix_length(a: str, b: str, i: int, j: int) -> int:
    """Return how many characters from `a[i]` and `b[j]` on are equal."""
    n, longest = 0, min(len(a) - i, len(b) - j)
    while n < longest and a[i + n : i + n + _BLOCK] == b[j + n : j + n + _BLOCK]:
        n += _BLOCK
    n = min(n, longest)
    while n < longest and a[i + n] == b[j + n]:
        n += 1
    return n


def _resynchronise(a: str, b: str, i: int, j: int, end_a: int, end_b: int, tail: str) -> tuple[int, int]:
    """Return how many characters of each text to skip until they match again; all if they never do."""
    if i == end_a or j == end_b:
        return end_a - i, end_b - j
    # The most common cases: different spaces, or one character replaced.
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
    position = start
    while position < end and text[position].isspace():
        position += 1
    return position - start


def _nearest(a: str, b: str, n: int) -> tuple[int, int] | None:
    """Return the nearest positions from which both match for at least `n` characters, preferring longer matches."""
    first: dict[str, int] = {}
    for j in range(len(b) - n + 1):
        first.setdefault(b[j : j + n], j)
    best, least = None, len(a) + len(b)
    for i in range(len(a) - n + 1):
        if i - _MATCH_WEIGHT * _MAX_MATCH >= least:
            break
        j = first.get(a[i : i + n], -1)
        if j >= 0:
            longest = min(_MAX_MATCH, len(a) - i, len(b) - j)
            alike = next((k for k in range(n, longest) if a[i + k] != b[j + k]), longest)
            if i + j - _MATCH_WEIGHT * alike < least:
                best, least = (i, j), i + j - _MATCH_WEIGHT * alike
    return best
