"""Coinciding lines of an overlay."""

from __future__ import annotations

import numpy as np

from terrarium.app.runs.overlay.overlay_lines import RunLine, coincident_lines


def line(n: int, *, above: float = 0.0, hump: float = 0.0) -> RunLine:
    x = np.arange(n, dtype=np.float64)
    y = 5 * np.exp(-x / 30) + above + hump * (x > n // 2)
    y[n // 3] = np.nan
    return RunLine((x, y), (x, y), (float(x[-1]), float(y[-1])), False)


def test_coinciding_lines_are_drawn_in_turns() -> None:
    lines = {
        "a": line(100),
        "far": line(100, above=1),
        "b": line(100, above=0.001),
        "c": line(90),
        "off": line(100, hump=1),
    }
    assert coincident_lines(lines) == {"a": (0, 3), "b": (1, 3), "c": (2, 3)}


def test_lines_that_hardly_coincide_are_drawn_solid() -> None:
    assert coincident_lines({"long": line(100), "short": line(20)}) == {}
    assert coincident_lines({"alone": line(100)}) == {}
