"""Fuzzy ranking of names by typed letters. No Qt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

_IN_OTHERS = 10
"""The penalty for a match in the other words instead of the title."""


class Named(Protocol):
    """Something that can be found by its title or other words: `folded`, both in lower case."""

    @property
    def key(self) -> str: ...
    @property
    def folded(self) -> tuple[str, str]: ...


def quality(word: str, text: str) -> int | None:
    """Rate how well a typed word matches a text, smaller is better; None if its letters are not in it in this order.

    From the best on: the text begins with it, one of its words does, it is within one, it is the initials of its words,
    its letters occur one after another. Both are in lower case.
    """
    if text.startswith(word):
        return 0
    if f" {word}" in text:
        return 1
    if word in text:
        return 2
    if len(word) > 1 and word in "".join(part[0] for part in text.split()):
        return 3
    rest = iter(text)
    return 4 if all(letter in rest for letter in word) else None


def rank(query: str, entries: Sequence[Named], recent: Sequence[str] = ()) -> list[int]:
    """The indices of the entries that fit all words of a query, the best first.

    Of those that fit equally well, those used last come first, then the shorter titles, then the earlier entries. For
    an empty query: those in `recent`, then all others in their order.

    Args:
        recent: keys of entries, that used last first.
    """
    words = query.casefold().split()
    used: Mapping[str, int] = {key: i for i, key in reversed(list(enumerate(recent)))}
    found: list[tuple[int, int, int, int]] = []
    for i, entry in enumerate(entries):
        (title, others), worth = entry.folded, 0
        for word in words:
            fit = quality(word, title)
            if fit is None or fit >= 4:  # rather a whole word elsewhere than letters here and there
                other = quality(word, others)
                if other is not None and other < 3:
                    fit = other + _IN_OTHERS if fit is None else min(fit, other + _IN_OTHERS)
            if fit is None:
                break
            worth += fit
        else:
            found.append((worth, used.get(entry.key, len(recent)), len(title) if words else 0, i))
    return [index for *_, index in sorted(found)]
