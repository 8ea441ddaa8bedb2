"""Numbers in the doctor's sentences."""

from __future__ import annotations

import math


def figure(value: float, digits: int = 3) -> str:
    """Rounded to so many digits, and large ones written out: “1.41”, “26,031”."""
    return f"{value:,.0f}" if math.isfinite(value) and abs(value) >= 10**digits else f"{value:.{digits}g}"
