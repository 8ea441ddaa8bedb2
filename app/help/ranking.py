"""Fuzzy ranking of names for a typed query. No Qt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

_IN_OTHERS = 10
"""The penalty of a match in the other search terms instead of the title."""


class Named(Protocol):
    """An item with a key and `folded`: its title and its other search terms, both in lower case."""

    @property
    def key(self) -> str: ...
    @property
    def folded(self) -> tuple[str, str]: ...


def quality(word: str, text: str) -> int | None:
    """Rate how well a typed word matches a text, smaller is better; None if the text lacks its letters in this order.

    0: the text begins with the word. 1: a word of the text does. 2: the text contains it. 3: the initials of the text's
    words contain it. 4: its letters occur in this order. Both must be in lower case.
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
    """Return the indices of the entries that match all words of a query, the best first.

    Of equal matches, the most recently used ones come first, then shorter titles, then earlier entries. For an empty
    query: those in `recent`, then all others in their order.

    Args:
        recent: keys of entries, the most recently used first.
    """
    words = query.casefold().split()
    used: Mapping[str, int] = {key: i for i, key in reversed(list(enumerate(recent)))}
    found: list[tuple[int, int, int, int]] = []
    for i, entry in enumerate(entries):
        (title, others), worth = entry.folded, 0
        for word in words:
            fit = quality(word, title)
            if fit is None or fit >= 4:  # prefer a whole word elsewhere to scattered letters here
                other = quality(word, others)
                if other is not None and other < 3:
                    fit = other + _IN_OTHERS if fit is None else min(fit, other + _IN_OTHERS)
            if fit is None:
                break
            worth += fit
        else:
            found.append((worth, used.get(entry.key, len(recent)), len(title) if words else 0, i))
    return [index for *_, index in sorted(found)]
