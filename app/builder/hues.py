"""The colours of the components of a design, the same in its diagram and in the bars of its costs."""

from __future__ import annotations

_PINK, _YELLOW = 3, 6  # indices of the theme's categories
HUES: dict[str, int | str] = {
    "embedding": _PINK,
    "position": _PINK,
    "query": "query",
    "key": "key",
    "value": "value",
    "attention": "query",
    "feed-forward": "validation",
    "router": "warning",
    "conv": _YELLOW,
    "norm": "faint",
    "head": "accent",
}
"""Component -> a role of the theme, or the index of a category."""
