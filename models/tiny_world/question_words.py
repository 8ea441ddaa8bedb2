"""What the kinds of held-out questions of Tiny World are called, and what each asks, in words that need no key."""

from __future__ import annotations

KIND_TITLES = {
    "knowledge": "Facts",
    "requests": "Stories",
    "reading": "Reading",
    "state": "What changed?",
    "sums": "Sums",
    "translation": "Translation",
}
KIND_MEANINGS = {
    "knowledge": "in a wording it has not seen",
    "requests": "about a person, a thing and a place",
    "reading": "one fact among several just told",
    "state": "how things are when a story ends",
    "sums": "of two numbers below 100",
    "translation": "from English to French",
}


def kind_title(kind: str) -> str:
    """A kind's name on screen; of an unknown one its own, with a capital."""
    return KIND_TITLES.get(kind, kind.capitalize())
