"""Which of the theme's colours marks which kind of part."""

from __future__ import annotations

_TONES = {
    "embedding": "info",
    "position": "info",
    "query": "query",
    "key": "key",
    "value": "value",
    "attention": "query",
    "feed-forward": "validation",
    "router": "validation",
    "conv": "value",
    "norm": "faint",
    "head": "accent",
}


def tone(kind: str) -> str:
    """A field of the theme; '' for what has no colour of its own."""
    return _TONES.get(kind, "")
