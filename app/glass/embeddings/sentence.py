"""Which tokens are closest to one, in one plain sentence. No widgets."""

from __future__ import annotations

from collections.abc import Sequence

from app.glass.names import spoken

_N = 3


def describe_nearest(name: str, nearest: Sequence[str]) -> str:
    """“Closest to “Mia”: Tom, Anna, Ben.”; the nearest first."""
    if not nearest:
        return ""
    return f"Closest to {spoken(name)}: {', '.join(spoken(each).strip('“”') for each in nearest[:_N])}."
