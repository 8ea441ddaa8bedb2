"""Which tokens are closest to one, in one plain sentence. No widgets."""

from __future__ import annotations

from collections.abc import Sequence

from app.glass.names import spoken

_N = 3


def describe_nearest(name: str, nearest: Sequence[str]) -> str:
    """“Closest to “Mia”: Tom, Anna, Ben.”; the nearest first."""
    if not nearest:
        return ""
    words = (spoken(each) for each in nearest[:_N])
    plain = (word.strip("“”") if word.strip("“”").isalnum() else word for word in words)
    return f"Closest to {spoken(name)}: {', '.join(plain)}."
