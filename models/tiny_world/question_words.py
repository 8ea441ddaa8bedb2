"""Titles of the kinds of held-out questions of Tiny World, and what each asks, in plain words."""

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
    """Return the display name of a kind; an unknown kind's own name, capitalised."""
    return KIND_TITLES.get(kind, kind.capitalize())
