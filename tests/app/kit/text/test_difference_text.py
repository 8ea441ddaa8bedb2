"""The colours of a difference in likelihood: seen where they are to be seen, with words that stay readable."""

from __future__ import annotations

import itertools

import pytest
from PySide6.QtGui import QColor

from terrarium.app.kit.colours import contrast, readable_on
from terrarium.app.kit.text.difference_text import FULL_COLOUR, difference_colour
from terrarium.app.kit.theme import ThemeProvider


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("sign", [-1, 1])
def test_differences_stand_out_and_words_on_them_are_readable(theme: ThemeProvider, mode: str, sign: int) -> None:
    theme.set_mode(mode)
    surface = QColor(theme.theme.surface)
    assert difference_colour(theme, 0.0) == surface
    tints = [difference_colour(theme, sign * nats) for nats in (0.05, 0.25, 1.0, FULL_COLOUR)]
    seen = [contrast(tint, surface) for tint in tints]
    assert all(more > less for less, more in itertools.pairwise(seen)), "the stronger the more"
    assert all(found >= least for found, least in zip(seen, (1.05, 1.4, 1.8, 3.0), strict=True))
    assert all(contrast(tint, readable_on(tint)) >= 4.5 for tint in tints)
    assert difference_colour(theme, 2 * sign * FULL_COLOUR) == tints[-1]
