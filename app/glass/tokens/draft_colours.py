"""The colouring of tokens by their outcome of speculative decoding, distinguishable with any colour vision."""

from __future__ import annotations

from PySide6.QtGui import QColor

from terrarium.app.kit.colours import readable_on
from terrarium.app.kit.theme import ThemeProvider

DRAFT = "draft"
"""The key of this colouring, in addition to those of QUANTITIES."""
NAME = "Draft"
TIP = "Which tokens the draft model had proposed: accepted by the model, or replaced by another one"
_COLOURS = {"accepted": "#56B4E9", "replaced": "#E69F00"}
"""Blue and orange of Okabe and Ito, distinguishable with any colour vision; replaced tokens are also underlined."""
_STRENGTH = {"light": 0.5, "dark": 0.55}


def draft_colours(theme: ThemeProvider, outcome: str) -> tuple[QColor, QColor] | None:
    """Return the background and text colours of a token with an outcome; None for those of plain text."""
    if outcome not in _COLOURS:
        return None
    colour, ground = QColor(_COLOURS[outcome]), QColor(theme.theme.surface)
    share = _STRENGTH["dark" if theme.theme.dark else "light"]
    channels = ((colour.red(), ground.red()), (colour.green(), ground.green()), (colour.blue(), ground.blue()))
    mixed = QColor(*(round(share * a + (1 - share) * b) for a, b in channels))
    return mixed, readable_on(mixed)
