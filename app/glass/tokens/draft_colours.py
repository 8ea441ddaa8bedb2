"""Tokens coloured by what a draft model did for them, in colours that stay apart for everybody."""

from __future__ import annotations

from PySide6.QtGui import QColor

from terrarium.app.kit.colours import readable_on
from terrarium.app.kit.theme import ThemeProvider

DRAFT = "draft"
"""The key of this colouring, beside those of QUANTITIES."""
NAME = "Draft"
TIP = "Which tokens the draft model had proposed: accepted by the model, or replaced by another one"
_COLOURS = {"accepted": "#56B4E9", "replaced": "#E69F00"}
"""Of Okabe and Ito: blue and orange are told apart with any colour vision, and replaced tokens are underlined, too."""
_STRENGTH = {"light": 0.5, "dark": 0.55}


def draft_colours(theme: ThemeProvider, outcome: str) -> tuple[QColor, QColor] | None:
    """The background and text colours of a token; None for those of plain text."""
    if outcome not in _COLOURS:
        return None
    colour, ground = QColor(_COLOURS[outcome]), QColor(theme.theme.surface)
    share = _STRENGTH[theme.theme.name]
    channels = ((colour.red(), ground.red()), (colour.green(), ground.green()), (colour.blue(), ground.blue()))
    mixed = QColor(*(round(share * a + (1 - share) * b) for a, b in channels))
    return mixed, readable_on(mixed)
