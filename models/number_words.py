"""Numbers as they are written on screen and in sentences, the same everywhere. No torch import."""

from __future__ import annotations


def percent(share: float, digits: int = 0) -> str:
    """A share of 1 in percent, “53 %”, which no line end comes between."""
    return f"{100 * share:.{digits}f}\N{NO-BREAK SPACE}%"
