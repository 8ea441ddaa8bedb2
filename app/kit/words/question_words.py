"""What the kinds of held-out questions of Tiny World are called, and what each asks, in words that need no key."""

from __future__ import annotations

KIND_TITLES = {
    "knowledge": "Facts",
    "requests": "Stories",
    "reading": "Reading",
    "state": "What changed?",
    "sums": "Sums",
    "translation": "French",
}
KIND_MEANINGS = {
    "knowledge": "a fact of its world, asked in words that it has not seen with this fact",
    "requests": "a story about a person, a thing and a place that are named",
    "reading": "one fact among several that were just told",
    "state": "how things are after what happened in a story",
    "sums": "the sum of two numbers",
    "translation": "a sentence of its world in French",
}


def kind_title(kind: str) -> str:
    """A kind's name on screen; of an unknown one its own, with a capital."""
    return KIND_TITLES.get(kind, kind.capitalize())
